import json

import pytest

from gecko_kedro.corpus.quarantine import count_reasons, quarantine_row, quarantine_table
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"text": "x" * 5_000, "null": None, 7: [1.5, True]},
        {"bytes": b"\xff", "half": "\ud83d", "quote": '"\\\n'},
        {"list": list(range(100_000))},
        {f"column {n}": "y" * 3_000 for n in range(30)},
    ],
)
def test_every_record_becomes_json_of_bounded_length(record: dict[object, object]) -> None:
    row = quarantine_row("file:1", "id \ud83d", reason="r", detail="\udcff", record=record)
    table = quarantine_table([row])
    assert table.schema == QUARANTINE_SCHEMA
    text = table["record"][0]
    assert isinstance(json.loads(text), dict)
    assert len(text) < 50_000
    assert table["row_id"][0] == r"id \ud83d"


def test_reasons_are_counted_by_name() -> None:
    rows = [quarantine_row("w", "i", reason=r, detail="", record={}) for r in ("b", "a", "b")]
    assert list(count_reasons(rows).items()) == [("quarantined", 3), ("a", 1), ("b", 2)]
    assert count_reasons([]) == {"quarantined": 0}
