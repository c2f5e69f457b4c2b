"""What the teacher is asked for in synthesis: a task and a query, as JSON."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Reply(BaseModel):
    """What the teacher is asked for. Further keys are ignored: they do no harm."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    task: str = Field(max_length=1_000)
    query: str = Field(max_length=4_000)


# For a backend that constrains its decoding. The limits of length are left out: a grammar of 4,000
# optional characters is slow to build, and what is too long has a reason of its own.
REPLY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in Reply.model_fields},
    "required": list(Reply.model_fields),
    "additionalProperties": False,
}


REFUSED = "refused_by_endpoint"  # the reason where the teacher's server refuses a prompt for good


@dataclass(frozen=True)
class Rejected:
    """Why a reply cannot be used."""

    reason: str
    detail: str


def parse_reply(text: str) -> tuple[Reply | Rejected, bool]:
    """The reply in ``text``, and whether its JSON had to be repaired.

    The first JSON object counts, whatever stands around it (a code fence, a remark, the next
    example that a base model goes on to write).
    """
    for candidate, repaired in _json_values(text):
        if not isinstance(candidate, dict):
            continue
        try:
            return Reply.model_validate(candidate), repaired
        except ValidationError as error:
            problem = error.errors()[0]
            too_long = problem["type"] == "string_too_long"
            where = ".".join(map(str, problem["loc"]))
            return (
                Rejected("too_long" if too_long else "unparsable", f"{where}: {problem['msg']}"),
                repaired,
            )
    return Rejected("unparsable", "no JSON object with task and query"), False


def _json_values(text: str) -> Iterator[tuple[object, bool]]:
    """The first JSON object as it stands, else as json_repair mends it."""
    start = text.find("{")
    if start < 0:
        return
    try:
        yield json.JSONDecoder().raw_decode(text[start:])[0], False
    except (json.JSONDecodeError, RecursionError):
        import json_repair

        # Only up to the first line break after a closing brace: what follows is another reply.
        end = re.search(r"\}\s*(?:\n|$)", text[start:])
        yield json_repair.loads(text[start : start + end.end()] if end else text[start:]), True
