"""Which teacher, and its knobs; conf/base/parameters/teacher.yml says more about each."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, model_validator

from gecko_kedro.base.settings import EXECUTION, Count, Limit, Seed, Settings
from gecko_kedro.teacher.embedded import EMBEDDED
from gecko_kedro.teacher.forms import FORMS
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.usage import Budget, Prices


class LexicalSettings(Settings):
    """Knobs of the lexical stand-in."""

    mu: float = Field(200, gt=0, description="Dirichlet prior of query likelihood, in words")
    title_weight: float = Field(2, ge=0, description="how often a word of the title counts")
    lead_words: int = Field(25, ge=0, description="length of the lead of a passage, in words")
    lead_weight: float = Field(3, ge=0, description="how often a lead word counts besides once")
    coverage_share: float = Field(0.4, ge=0, description="of the grade: query words in the passage")
    phrase_share: float = Field(0.3, ge=0, description="of the grade: adjacent query words in it")
    lead_share: float = Field(0.3, ge=0, description="of the grade: query words in title and lead")
    form_shares: dict[str, NonNegativeFloat] = Field(
        {
            "question": 0.25, "keywords": 0.2, "description": 0.3, "title": 0.1, "claim": 0.1,
            "rewording": 0.05,
        },
        description="wanted share of each form of query; they need not add up to 1",
    )  # fmt: skip

    @model_validator(mode="after")
    def _something_counts(self) -> "LexicalSettings":
        unknown = sorted(set(self.form_shares) - set(FORMS))
        if unknown:
            raise ValueError(
                f"form_shares: unknown {', '.join(unknown)}; the forms are {', '.join(FORMS)}"
            )
        if not any(self.form_shares.values()):
            raise ValueError("form_shares: at least one share must be above 0")
        if self.coverage_share + self.phrase_share + self.lead_share == 0:
            raise ValueError("coverage_share, phrase_share or lead_share must be above 0")
        return self


class ModelSettings(Settings):
    """The language model of the backends that run one in this process."""

    name: str = Field(EMBEDDED, min_length=1, description="embedded, a hub id or a folder")
    revision: str | None = Field(None, description="commit, tag or branch of the hub; null: main")
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    trust_remote_code: bool = Field(False, description="run Python code that the model brings")
    chat_template: Literal["auto", "on", "off"] = "auto"
    chat_template_kwargs: dict[str, Any] = {"enable_thinking": False, "date_string": "26 Jul 2024"}
    max_new_tokens: Count = Field(160, description="a longer reply is cut")
    stop: tuple[str, ...] = Field(("\n\n",), description="what ends the reply of a base model")


class AdaptSettings(Settings):
    """How a language model is adapted to the corpus before it teaches."""

    mode: Literal["auto", "on", "off"] = Field("auto", description="auto: the embedded model is")
    written: bool = Field(True, description="learn from the queries that the project ships, too")
    sources: list[dict[str, Any]] = Field([], description="further sets, see training.sources")
    max_pairs: Limit = Field(300, description="natural pairs of the corpus; null for all")
    heldout_pairs: int = Field(100, ge=0, description="natural pairs kept out, to look at")
    layers: Count = Field(10, description="the last ones, which learn")
    epochs: Count = 1
    batch_size: Count = 8
    learning_rate: float = Field(2e-4, gt=0)
    warmup_ratio: float = Field(0.1, ge=0, le=1)
    passage_tokens: Count = Field(100, description="of a passage, its beginning, title included")
    evaluation_steps: Count = Field(40, description="between two looks at held-out pairs")
    seed: Seed = 7


class TransformersSettings(Settings):
    """How transformers runs the model: device, tokens of a forward pass, and of its cache."""

    device: str = Field("auto", json_schema_extra=EXECUTION)
    batch_tokens: Count | Literal["auto"] = Field("auto", json_schema_extra=EXECUTION)
    kv_cache_tokens: int = Field(16384, ge=0, json_schema_extra=EXECUTION)
    threads: Limit = Field(None, json_schema_extra=EXECUTION)


class VllmSettings(Settings):
    """How vLLM runs the model; of these only the longest prompt shapes a result."""

    max_model_len: int | None = Field(4096, ge=2, description="prompt with reply, in tokens")
    gpu_memory_utilization: float = Field(0.85, gt=0, le=1, json_schema_extra=EXECUTION)
    max_num_batched_tokens: Limit = Field(4096, json_schema_extra=EXECUTION)
    tensor_parallel_size: Count = Field(1, json_schema_extra=EXECUTION)
    shard_size: Count = Field(10000, json_schema_extra=EXECUTION)
    engine_args: dict[str, Any] = Field({}, description="more arguments of vllm.LLM")


class TeacherSettings(Settings):
    """The backend and its settings."""

    # auto: the embedded model where its package is installed, else the lexical stand-in
    backend: Literal["auto", "lexical", "transformers", "vllm", "http"] = "lexical"
    batch_size: Count = Field(2000, json_schema_extra=EXECUTION)
    prices: Prices = Field(Prices(), json_schema_extra=EXECUTION)
    budget: Budget = Budget()
    lexical: LexicalSettings = LexicalSettings()
    model: ModelSettings = ModelSettings()
    adapt: AdaptSettings = AdaptSettings()
    transformers: TransformersSettings = TransformersSettings()
    vllm: VllmSettings = VllmSettings()
    http: HttpSettings = HttpSettings()

    @property
    def adapts(self) -> bool:
        """Whether a model is adapted to the corpus, and asked in the form that it learned."""
        embedded = self.adapt.mode == "auto" and self.model.name == EMBEDDED
        return self.backend in ("transformers", "vllm") and (embedded or self.adapt.mode == "on")

    @model_validator(mode="after")
    def _prices_are_known(self) -> "TeacherSettings":
        if self.budget.max_cost is not None and self.prices.prompt is None:
            raise ValueError("budget.max_cost needs prices.prompt and prices.completion")
        return self
