"""Training sets from files or the Hugging Face Hub, declared as data."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.settings import Settings
from gecko_kedro.corpus.formats import read_hub, read_table
from gecko_kedro.corpus.lines import usable
from gecko_kedro.corpus.quarantine import Checked, count_reasons, quarantine_table
from gecko_kedro.corpus.readers import looks_like_path
from gecko_kedro.corpus.values import check_mapping
from gecko_kedro.training.converters.roles import Aside, RoleRow, label_of
from gecko_kedro.training.converters.sets import CONVERTERS, Separation
from gecko_kedro.training.examples import EXAMPLE_SCHEMA, check_examples


class SourceSettings(Settings):
    """One training set: where it lies, what its columns are, and how it is trained on."""

    name: str = Field(min_length=1, description="the data set; a batch is of one")
    data: str = Field(description="a .jsonl, .csv, .tsv or .parquet file, or a hub id[:config]")
    split: str = Field("train", description="of a hub data set")
    converter: Literal["pairs", "claims", "nli", "classification", "multiple_choice"]
    columns: dict[str, str | None] = Field(description="role -> column; see the converter")
    only: dict[str, str] = Field(
        default_factory=dict, description="column -> value: the rows to take, by default all"
    )
    task: str = Field(description="task name, as in the paper's Table 9")
    symmetric: bool = Field(False, description="both sides in the query's form")
    rate: float = Field(1.0, ge=0, description="how often a row is seen an epoch")
    max_rows: int | None = Field(None, ge=1, description="rows read, the first")
    mine_negatives: bool = Field(False, description="find negatives for rows that have none")
    separation: Separation = Field(
        "unique_id", description="of rows of one class in a batch; classification only"
    )


Sources = Sequence[SourceSettings | Mapping[str, Any]]  # read from parameters, or plain ones


def rates_of(sources: Sources) -> dict[str, float]:
    """How often a row of each source is seen an epoch, by name."""
    known = [SourceSettings.model_validate(source) for source in sources]
    return {source.name: source.rate for source in known}


def read_source(source: SourceSettings, *, seed: int) -> Checked:
    """The examples of ``source`` and the rows that make none, by reason.

    Reasons are those of the reader (``corpus.formats``), of the converter and of
    ``check_examples``. Raises InputError for a file or column that is not there.
    """
    convert, roles, required = CONVERTERS[source.converter]
    draws = source.converter == "classification"
    options = {"seed": seed, "separation": source.separation} if draws else {}
    where = f"source {source.name}, columns"
    names = check_mapping(source.columns, roles=roles, required=required, where=where)
    aside: Aside = []
    made = convert(list(_role_rows(source, names, aside)), aside, **options)
    shared = {"dataset": source.name, "task_name": source.task, "symmetric": source.symmetric}
    table = pl.DataFrame([row | shared for row in made], schema=EXAMPLE_SCHEMA)
    checked = check_examples(table, where=f"source {source.name}")
    counts = Counter(checked.counts) + Counter(count_reasons(aside))
    return Checked(
        checked.rows,
        pl.concat([quarantine_table(aside), checked.quarantine]),
        {"examples": 0, "quarantined": 0} | counts,
    )


def _role_rows(source: SourceSettings, names: Mapping[str, str], aside: Aside) -> Iterator[RoleRow]:
    wanted = list(dict.fromkeys([*names.values(), *source.only]))
    path = Path(source.data).expanduser()
    if path.is_file():
        raw = read_table(path, wanted=wanted)
    elif looks_like_path(source.data):
        raise InputError(
            f"source {source.name}",
            expected="a file",
            got=Words(f"no file at {source.data}"),
            fix=f"Check the path; relative ones start at {Path.cwd()}.",
        )
    else:
        raw = read_hub(source.data, split=source.split, wanted=wanted)
    taken = 0
    for row in usable(raw, aside):
        if taken == source.max_rows:
            return
        if any(label_of(row.values.get(name)) != value for name, value in source.only.items()):
            continue
        taken += 1
        yield RoleRow(row.where, {role: row.values.get(name) for role, name in names.items()})
