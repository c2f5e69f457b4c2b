"""A real server refuses some prompts: the nodes set the rows aside and the run goes on."""

from pathlib import Path

import polars as pl
import pytest
from kedro.runner import SequentialRunner

from tests.support import labelling
from tests.support.http_server import ServerState, refusing, serving

TREES = ("ash", "beech", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine")
TEXTS = [
    f"The {tree} of row {n} is felled in winter and dried for years."
    for n in (1, 2)
    for tree in TREES
]


def run(folder: Path, server: ServerState) -> dict[str, pl.DataFrame]:
    labelling.write_passages(folder, TEXTS)
    catalog = labelling.catalog(folder, server.url, "local")
    left = SequentialRunner().run(labelling.PIPELINE, catalog)
    found = {name: dataset.load() for name, dataset in left.items()}
    return found | {"fret": catalog.load("fret"), "queries": catalog.load("queries")}


@pytest.mark.e2e
def test_refused_passages_get_no_query_and_refused_candidates_no_score(tmp_path: Path) -> None:
    with serving(prompt_logprobs=False, tokenize=False) as server:  # prompts are sent as text
        calm = run(tmp_path / "calm", server)
        server.always = refusing("cedar of row")
        found = run(tmp_path / "refusing", server)
        asked = sum(server.asked.values())
        again = run(tmp_path / "refusing", server)
        # What every start asks, less than one for each passage: finished shards are not asked anew.
        assert sum(server.asked.values()) - asked < len(TEXTS)
    refused = found["queries_quarantine"].filter(reason="refused_by_endpoint")
    assert refused["row_id"].to_list() == ["p02?0", "p12?0"]
    assert refused["detail"].str.contains("no prompt may say").all()
    # A candidate set is the seed and the three passages after it.
    aside = found["fret_quarantine"]
    assert set(aside["row_id"]) == {f"p{n:02}?0" for n in (19, 0, 1, 9, 10, 11)}
    assert set(aside["reason"]) == {"refused_by_endpoint"}
    others = calm["fret"].filter(~pl.col("query_id").is_in([*aside["row_id"], *refused["row_id"]]))
    assert found["fret"].equals(others)
    assert others.height == len(TEXTS) - 2 - 6
    assert again["fret"].equals(found["fret"])
    assert again["fret_quarantine"].equals(aside)
