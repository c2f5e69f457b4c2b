"""The text that the model reads: the templates of Gecko's appendix B, as data."""

from collections.abc import Iterable, Mapping

from pydantic import Field

from gecko_kedro.base.settings import Settings


class Templates(Settings):
    """How a query and a passage become one string.

    ``{task}``, ``{title}`` and ``{text}`` are the only places filled in, by plain replacement, so
    braces inside a text stay as they are.
    """

    query: str = Field(description="contains {task} and ends in {text}", pattern=r"\{text\}$")
    passage: str = Field(description="contains {title} and ends in {text}", pattern=r"\{text\}$")
    missing_title: str = Field(description="stands for the title of a passage that has none")

    def query_prompt(self, task_name: str) -> str:
        """What stands before the text of a query of this task."""
        return self.query.removesuffix("{text}").replace("{task}", task_name)

    def passage_prompt(self, title: str | None = None) -> str:
        """What stands before the text of a passage; a blank title counts as none.

        Where nothing stands for the title, the blank behind it goes too: to some tokenizers it is
        part of the next word.
        """
        shown = (title.strip() if title else "") or self.missing_title
        before = self.passage.removesuffix("{text}")
        return before.replace("{title}" if shown else "{title} ", shown)


# The paper leaves the missing title open; the literal "none" is that of its open successor,
# EmbeddingGemma.
GECKO = Templates(
    query="task: {task} | query: {text}",
    passage="title: {title} | text: {text}",
    missing_title="none",
)
# The first row of the paper's table 7: the parts one after the other, without their names.
CONCATENATED = Templates(query="{task} {text}", passage="{title} {text}", missing_title="")
TEMPLATES = {"gecko": GECKO, "concatenated": CONCATENATED}


def own_templates(prompts: Mapping[str, str | None]) -> Templates:
    """The templates of a model that this project did not train, from the prompts it brings.

    ``prompts`` as sentence-transformers stores them: ``query``, and ``document`` or ``passage``; a
    model without any reads the bare text, a passage after its title. A model of this project keeps
    Gecko's templates, which its own prompt for documents gives away.
    """
    document = prompts.get("document") or prompts.get("passage") or ""
    if document == GECKO.passage_prompt():
        return GECKO
    return Templates(
        query=(prompts.get("query") or "") + "{text}",
        passage=document + "{title} {text}",
        missing_title="",
    )


def render_query(task_name: str, text: str, *, templates: Templates = GECKO) -> str:
    """The query side, and both sides of a symmetric task: ``task: {task} | query: {text}``."""
    return templates.query_prompt(task_name) + text


def render_passage(title: str | None, text: str, *, templates: Templates = GECKO) -> str:
    """The passage side of an asymmetric task: ``title: {title} | text: {text}``."""
    return templates.passage_prompt(title) + text


def prompts_by_name(
    task_names: Iterable[str], default_task: str, *, templates: Templates = GECKO
) -> dict[str, str]:
    """Prompts as sentence-transformers stores them.

    ``query`` is the default task's, ``document`` the passage without a title, and every task has
    one under its own name: ``model.encode(texts, prompt_name="question answering")``.
    """
    by_task = {name: templates.query_prompt(name) for name in sorted({*task_names, default_task})}
    return {
        "query": templates.query_prompt(default_task),
        "document": templates.passage_prompt(),
        **by_task,
    }
