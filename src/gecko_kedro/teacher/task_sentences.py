"""The task of a query, as a sentence, for teachers that write the query alone."""

from collections.abc import Sequence

# By form of query; several a form, because a student should see many.
TASKS = {
    "question": (
        "Given a question, find a passage that answers it.",
        "Given a query, find a passage that has the answer to the query.",
    ),
    "keywords": (
        "Given search keywords, find a passage that might show up as a search result.",
        "Given keywords, find a page of documentation that covers them.",
    ),
    "description": (
        "Given a short description, find the passage that it describes, as a search result.",
        "Given a summary of what is wanted, find a passage that might show up as a search result.",
    ),
    "title": ("Given a title, find the article that it might be the title of.",),
    "claim": (
        "Given a claim, find a passage that allows you to check whether it is true or not.",
    ),
    "rewording": ("Given a sentence, find a passage with a similar meaning.",),
}  # fmt: skip
# Which form comes nearest to a kind of task that a prompt may ask for (``wanted_task``).
FORM_OF = {
    "question answering": "question", "keyword search": "keywords",
    "search result": "description", "code search": "description",
    "summary to document": "description", "title to article": "title", "fact checking": "claim",
    "sentence similarity": "rewording",
}  # fmt: skip


def task_sentences(kind: str) -> Sequence[str]:
    """Tasks that a query of this kind may have; those of a search for a kind that is not known."""
    return TASKS[FORM_OF.get(kind, "description")]
