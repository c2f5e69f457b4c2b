"""A corpus from files or from the Hugging Face Hub, as documents."""

from collections.abc import Mapping
from pathlib import Path

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.columns import check_mapping
from gecko_kedro.corpus.folder import TEXT_SUFFIXES, read_folder
from gecko_kedro.corpus.formats import TABLE_SUFFIXES, read_hub, read_table
from gecko_kedro.corpus.results import ReadResult
from gecko_kedro.corpus.rows import collect_documents

_ROLES = ("doc_id", "title", "text", "group", "summary")
_FOLDER_COLUMNS = {"doc_id": "doc_id", "title": "title", "text": "text"}


def read_corpus(
    source: str, *, columns: Mapping[str, str | None], split: str = "train"
) -> ReadResult:
    """The documents of ``source``, in its order.

    ``source`` is a folder of .txt, .md and .html files, a .jsonl, .csv, .tsv or .parquet file, or
    a Hugging Face data set id (``"owner/name"`` or ``"owner/name:configuration"``, of which
    ``split`` is read). ``columns`` maps ``text`` and, where there are such columns, ``doc_id``,
    ``title``, ``group`` and ``summary`` to names; ``None`` means that there is none. Folders need
    no mapping. Without a ``doc_id`` the id is a hash of title and text, which stays the same when
    rows come and go; without a ``group`` each document is its own.

    Text is cleaned as in cleaning.py; a text that is a whole HTML page is converted; both are
    counted. Ids, titles and groups that are numbers become text as values.py says.
    Quarantined with a reason: ``not_utf8``, ``broken_json``, ``not_an_object``, ``broken_csv``,
    ``wrong_field_count``, ``unreadable``, ``not_a_file``, ``folder_seen_before``, ``null_text``,
    ``empty_text``, ``not_a_string``, ``lone_surrogate``, ``duplicate_id`` (the first stays). A
    document stays where only a field of it is set aside: ``null_id`` (its id is then the hash), and
    ``not_a_string`` of any field but the text.

    Raises InputError for a missing source, wrong columns, and when no document is left.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return collect_documents(read_folder(path), _FOLDER_COLUMNS, source=source)
    names = check_mapping(columns, roles=_ROLES, required="text", where="corpus.columns")
    wanted = list(dict.fromkeys(names.values()))
    if path.exists():
        return collect_documents(read_table(path, wanted=wanted), names, source=source)
    if looks_like_path(source):
        raise InputError(
            source,
            expected="a folder or file",
            got=Words("no such file or folder"),
            fix=f"Check the path; relative ones start at {Path.cwd()}.",
        )
    return collect_documents(read_hub(source, split=split, wanted=wanted), names, source=source)


def looks_like_path(source: str) -> bool:
    """Whether ``source`` means a file or folder, not a Hugging Face data set id."""
    return (
        source.startswith(("/", ".", "~"))
        or source.count("/") > 1
        or Path(source).suffix.lower() in (*TABLE_SUFFIXES, *TEXT_SUFFIXES)
    )
