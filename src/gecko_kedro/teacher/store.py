"""Never pay twice: replies on disk, keyed by all that they depend on."""

import json
import math
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gecko_kedro.base.errors import InputError, free_space
from gecko_kedro.teacher.usage import KindUsage, Usage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    key BLOB PRIMARY KEY,
    value TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
    identity TEXT NOT NULL,
    kind TEXT NOT NULL,
    calls INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (identity, kind)
) WITHOUT ROWID;
"""
_SPEND = """
INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (identity, kind) DO UPDATE SET
    calls = calls + excluded.calls,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens,
    seconds = seconds + excluded.seconds
"""
_KEYS_PER_QUERY = 500  # SQLite allows 999 parameters in its older versions


class ResponseStore:
    """A SQLite file (write-ahead log) from a 32-byte key to a JSON value.

    ``put`` is one transaction: after SIGKILL at any moment it is there as a whole or not at all,
    and nothing that was there before is lost. (After a power cut the last transactions may be.)
    Several processes may read and write at once; the first value of a key stays. A second table
    sums up what was spent, in the same transactions.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self.path, timeout=120.0, isolation_level=None, check_same_thread=False
            )
            with self._lock:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                # Keys are random: a small cache and frequent checkpoints would rewrite every page.
                self._connection.execute("PRAGMA cache_size = -65536")  # kB
                self._connection.execute("PRAGMA wal_autocheckpoint = 10000")  # 40 MB
                self._connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    def get(self, keys: Sequence[bytes]) -> dict[bytes, object]:
        """The values of those ``keys`` that are there."""
        found: dict[bytes, object] = {}
        for part, marks in _parts(dict.fromkeys(keys)):
            asked = set(part)
            query = f"SELECT key, value, checksum FROM responses WHERE key IN ({marks})"
            for key, value, checksum in self._execute(query, part):
                if key not in asked:  # seen with one flipped byte in a key
                    raise self._changed(repr(key), value)
                found[key] = self._decoded(key, value, checksum)
        return found

    def put(
        self, values: Mapping[bytes, object], *, spent: tuple[str, str, KindUsage] | None = None
    ) -> None:
        """Write all ``values`` in one transaction; a key that is there keeps its value.

        ``spent`` is what they cost, after the teacher's identity and the kind of call. It counts
        also where a key was there: it was paid for twice.
        """
        rows = []
        for key, value in sorted(values.items()):
            text = json.dumps(value, allow_nan=False)
            rows.append((key, text, zlib.crc32(text.encode())))
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO responses (key, value, checksum) VALUES (?, ?, ?)", rows
            )
            if spent is not None:
                identity, kind, usage = spent
                tokens = usage.prompt_tokens, usage.completion_tokens
                connection.execute(_SPEND, (identity, kind, usage.calls, *tokens, usage.seconds))

    def forget(self, keys: Iterable[bytes]) -> int:
        """Drop the values of ``keys``, so that they are asked for again; how many there were."""
        parts = list(_parts(keys))
        if not parts:
            return 0
        with self._transaction() as connection:
            queries = [(f"DELETE FROM responses WHERE key IN ({marks})", k) for k, marks in parts]
            return sum(connection.execute(query, part).rowcount for query, part in queries)

    def search(self, wanted: Callable[[object], bool]) -> list[bytes]:
        """The keys of all values that are ``wanted``; reads the whole store."""
        rows = self._execute("SELECT key, value, checksum FROM responses", [])
        return [key for key, value, check in rows if wanted(self._decoded(key, value, check))]

    def spent(self, identity: str) -> Usage:
        """All that was ever spent on this teacher."""
        rows = self._execute(
            "SELECT kind, calls, prompt_tokens, completion_tokens, seconds FROM spent "
            "WHERE identity = ?", [identity],
        )  # fmt: skip
        total = Usage()
        for kind, calls, prompt_tokens, completion_tokens, seconds in rows:
            total.of(kind).add(KindUsage(calls, 0, 0, prompt_tokens, completion_tokens, seconds))
        return total

    def bytes_per_reply(self) -> float:
        """What a reply takes in a large store of such replies; 0 for an empty store.

        Key, value and some 12 bytes of the row, in pages of a B-tree that are ln 2 full, since keys
        are random (Yao 1978).
        """
        mean = self._execute("SELECT avg(length(value)) FROM responses", [])[0][0]
        return 0.0 if mean is None else (32 + float(mean) + 12) / math.log(2)

    def __len__(self) -> int:
        return int(self._execute("SELECT count(*) FROM responses", [])[0][0])

    def close(self) -> None:
        """Close the file; the write-ahead log is merged by whoever closes last."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> "ResponseStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """BEGIN IMMEDIATE, so that two writers queue up instead of failing half-way."""
        try:
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _execute(self, query: str, parameters: Sequence[object]) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(query, list(parameters)).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _decoded(self, key: bytes, value: object, checksum: object) -> object:
        if not isinstance(value, str) or zlib.crc32(value.encode()) != checksum:
            raise self._changed(key.hex(), value)
        return json.loads(value)

    def _changed(self, key: str, value: object) -> InputError:
        return InputError(
            f"response store {self.path}, key {key}",
            expected="the reply that was stored",
            got=value,
            fix="The row was changed on disk: delete it (or the file) and run again; "
            "only what is deleted is asked anew.",
        )

    def _unusable(self, error: Exception) -> InputError:
        return InputError(
            f"response store {self.path} ({free_space(self.path)} free)",
            expected="a SQLite file that can be read and written",
            got=str(error),
            fix="Check permissions and free space; if the file is damaged, move it away: "
            "the run then asks the teacher again. `sqlite3 FILE .recover` saves what can be read.",
        )


def _parts(keys: Iterable[bytes]) -> Iterator[tuple[list[bytes], str]]:
    """Some ``keys`` at a time, each with the question marks that stand for them."""
    listed = list(keys)
    for start in range(0, len(listed), _KEYS_PER_QUERY):
        part = listed[start : start + _KEYS_PER_QUERY]
        yield part, ",".join("?" * len(part))
