"""Whether the server reads whole prompts: what was sent against the tokens that it counts."""

from gecko_kedro.teacher.http.failure import Failure

# No tokenizer needs fewer tokens for a text of some length in any language.
_MOST_CHARACTERS_PER_TOKEN = 10
_SHORTEST = 400  # characters: below it a chat template weighs too much
_LEAST_SHARE = 0.9  # of the tokens that were counted here
_FEWEST_TOKENS = 64
# So many prompts of different lengths cannot have one number of tokens, the largest so far.
_PLATEAU = 8
_SPREAD = 1.05
FIX = (
    "Give the server a longer context (Ollama: OLLAMA_CONTEXT_LENGTH or num_ctx; llama.cpp: "
    "--ctx-size; vLLM: --max-model-len), or lower max_passage_tokens of synthesize and relabel. If "
    "the server leaves cached tokens out of its count, set teacher.http.check_prompt_tokens: false."
)


class PromptLengths:
    """Of the prompts that one server was sent."""

    def __init__(self) -> None:
        self._most = 0
        self._lengths: set[int] = set()

    def check(self, prompt: str | list[int], told: int | None, *, counted: int | None) -> None:
        """Raise a final ``Failure`` where ``told`` tokens cannot be the whole prompt.

        ``counted`` are its tokens by the model's own tokenizer, None where nobody can count.
        """
        if not told:
            return
        if counted is not None:
            if counted >= _FEWEST_TOKENS and told < _LEAST_SHARE * counted:
                raise _cut(told, f"{counted} tokens")
        elif isinstance(prompt, str):
            self._check_text(len(prompt), told)

    def _check_text(self, length: int, told: int) -> None:
        if length > _SHORTEST and told * _MOST_CHARACTERS_PER_TOKEN < length:
            raise _cut(told, f"{length} characters")
        if told > self._most:
            self._most, self._lengths = told, set()
        if told < self._most or told < _FEWEST_TOKENS:
            return
        self._lengths.add(length)
        shortest, longest = min(self._lengths), max(self._lengths)
        if len(self._lengths) >= _PLATEAU and longest > _SPREAD * shortest:
            raise _cut(told, f"{shortest} to {longest} characters", at=told)


def _cut(told: int, sent: str, *, at: int | None = None) -> Failure:
    return Failure(
        f"the server read {told} tokens of a prompt of {sent}: it cuts prompts without a word",
        final=True, fix=FIX, cut_at=at,
    )  # fmt: skip
