"""Change the HMAC key of all pseudonyms (rows, step by step), so that nothing that is known of an account is lost.

While the next key is set, rows carry the pseudonyms under both keys. `backfill` gives the older rows their pseudonyms
under the next key, by pairs of both that newer rows have. Then the keys are switched, and readers take the ids under
the key in force (`shared.contract.tables.under_key`). `finish` puts these in the place of the former ones.

Each step may be repeated. Statements leave the latest rows alone, which BigQuery does not change yet.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct

from shared.contract.mapping import REPORT_IDS
from shared.contract.tables import NEXT, NEXT_KEY, PIX_IDS, timestamp
from shared.errors import Misconfigured
from shared.ports.tables import Queries

_SCORES, _REPORTS = "score_events", "feedback"
_IDS = {_SCORES: PIX_IDS, _REPORTS: REPORT_IDS}
_WRITTEN = {_SCORES: "scored_at", _REPORTS: "received_at", "training_sample": "recorded_at"}
_ACCOUNTS = ((_SCORES, "payer_id"), (_SCORES, "payee_id"))
_PERSONS = ((_SCORES, "payer_person_id"), (_SCORES, "payee_person_id"), (_REPORTS, "person_id"))
_KEYS = ((_SCORES, "payee_key_id"), (_REPORTS, "key_id"))
_ANALYSTS = ((_REPORTS, "analyst_id"),)
_SOURCES = {
    **dict.fromkeys((name for _, name in _ACCOUNTS), _ACCOUNTS),
    **dict.fromkeys((name for _, name in _PERSONS), _PERSONS),
    **dict.fromkeys((name for _, name in _KEYS), _KEYS),
    "device_id": ((_SCORES, "device_id"),),
    "analyst_id": _ANALYSTS,
}
"""The tables and columns that have pairs of pseudonyms of the same kind as a column."""
_COPIES: dict[str, dict[str, Sequence[tuple[str, str]]]] = {
    "training_sample": {"payee_id": _ACCOUNTS},
    "reviews": {"by_id": _ANALYSTS},
    "suspicions": {"account_id": _ACCOUNTS, "by_id": _ANALYSTS},
}
"""The columns of other tables that hold such pseudonyms."""


class Backfilled(Struct, frozen=True):
    """The rows that lacked an id under the next key, and those that still do: nothing newer has a pair for them."""

    outcome: str
    score_events: int
    feedback: int
    without_pair: int


class Finished(Struct, frozen=True):
    """The rows that had ids of the former key, and those `left` with such: too new to be changed."""

    outcome: str
    score_events: int
    feedback: int
    left: int


class Rotation:
    """The rows of a dataset, named as project.dataset, while their key changes."""

    def __init__(self, queries: Queries, dataset: str) -> None:
        self._queries = queries
        self._sql = RotationSql(dataset)

    def backfill(self, hmac_key: str, next_key: str, until: dt.datetime) -> Backfilled:
        """Give rows written before `until` their ids under the next key; both keys are named by fingerprints.

        Raises Misconfigured if rows still have ids of the key before that in force, Unavailable.
        """
        if any(self._count(table, self._sql.carries(hmac_key)) for table in _IDS):
            raise Misconfigured("the last change of the key is not finished: run `jobs.rotate finish`")
        before = {table: self._count(table, self._sql.lacks(table, next_key, until)) for table in _IDS}
        for table in _IDS:
            if before[table]:
                self._queries.rows(self._sql.backfill(table, next_key, until), {})
        left = sum(self._count(table, self._sql.lacks(table, next_key, until)) for table in _IDS)
        return Backfilled("BACKFILLED" if any(before.values()) else "UNCHANGED", **before, without_pair=left)

    def finish(self, hmac_key: str, version: int, until: dt.datetime) -> Finished:
        """Put the ids under the key in force, by its fingerprint and version, in the place of the former ones.

        Rows of decisions go last, as all others are translated by them. Raises Unavailable, Misconfigured.
        """
        carries = self._sql.carries(hmac_key)
        before = {table: self._count(table, carries) for table in _IDS}
        if any(before.values()):
            for sql in self._sql.finish(hmac_key, version, until):
                self._queries.rows(sql, {})
        left = sum(self._count(table, carries) for table in _IDS)
        return Finished(
            "FINISHED" if any(before.values()) and not left else "UNFINISHED" if left else "UNCHANGED",
            **before,
            left=left,
        )

    def _count(self, table: str, condition: str) -> int:
        [found] = self._queries.rows(self._sql.count(table, condition), {})
        return int(found["n"])


class RotationSql:
    """The GoogleSQL of a change of the key in `dataset` (project.dataset)."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset

    def count(self, table: str, condition: str) -> str:
        """Return the query of the number of rows that fulfil a condition."""
        return f"SELECT COUNT(*) AS n FROM {self._name(table)} AS old WHERE {condition}"  # noqa: S608 (names of our own)

    def carries(self, hmac_key: str) -> str:
        """Return the condition that a row has ids under a key beside its own."""
        return f"old.{NEXT_KEY} = '{hmac_key}'"

    def lacks(self, table: str, next_key: str, until: dt.datetime) -> str:
        """Return the condition that a row written before `until` has an id that it has not under the next key."""
        return f"old.{_WRITTEN[table]} < {timestamp(until)} AND ({_lacking(table, next_key)})"

    def backfill(self, table: str, next_key: str, until: dt.datetime) -> str:
        """Return the statement that gives the rows of a table the ids under the next key that newer rows have."""
        found = ", ".join(
            f"{NEXT}{name} = COALESCE(IF(old.{NEXT_KEY} = '{next_key}', old.{NEXT}{name}, NULL), "
            f"{self._pair(_SOURCES[name], next_key, name)})"
            for name in _IDS[table]
        )
        return (
            f"UPDATE {self._name(table)} AS old SET {found}, {NEXT_KEY} = '{next_key}' "  # noqa: S608 (names of our own)
            f"WHERE {self.lacks(table, next_key, until)}"
        )

    def finish(self, hmac_key: str, version: int, until: dt.datetime) -> list[str]:
        """Return the statements that put ids under a key in the place of the former ones, in their order."""
        copies = [self._translate(table, hmac_key, until) for table in _COPIES]
        return [*copies, self._replace(_REPORTS, hmac_key, until), self._replace(_SCORES, hmac_key, until, version)]

    def _translate(self, table: str, hmac_key: str, until: dt.datetime) -> str:
        columns = _COPIES[table]
        found = ", ".join(
            f"{name} = COALESCE({self._pair(of, hmac_key, name)}, {name})" for name, of in columns.items()
        )
        written = _WRITTEN.get(table, "`at`")
        return f"UPDATE {self._name(table)} AS old SET {found} WHERE {written} < {timestamp(until)}"  # noqa: S608 (names of our own)

    def _replace(self, table: str, hmac_key: str, until: dt.datetime, version: int | None = None) -> str:
        names = _IDS[table]
        found = [f"{name} = COALESCE({NEXT}{name}, {name})" for name in names]
        gone = [f"{name} = NULL" for name in (*(f"{NEXT}{name}" for name in names), NEXT_KEY)]
        if version is not None:  # that of the ids of a row, if all are of one key
            found.append(f"hmac_key_version = IF({_lacking(table, hmac_key)}, hmac_key_version, {version})")
        return (
            f"UPDATE {self._name(table)} AS old SET {', '.join((*found, *gone))} "  # noqa: S608 (names of our own)
            f"WHERE {self.carries(hmac_key)} AND {_WRITTEN[table]} < {timestamp(until)}"
        )

    def _pair(self, sources: Sequence[tuple[str, str]], next_key: str, name: str) -> str:
        """Return the expression of the id under the next key that stands beside the id `name` of a row in others."""
        which = f"WHERE {NEXT_KEY} = '{next_key}'"
        pairs = " UNION ALL ".join(
            f"SELECT {column} AS id, {NEXT}{column} AS next_id FROM {self._name(table)} {which}"  # noqa: S608 (names of our own)
            for table, column in sources
        )
        return f"(SELECT MIN(pairs.next_id) FROM ({pairs}) AS pairs WHERE pairs.id = old.{name})"  # noqa: S608 (names of our own)

    def _name(self, table: str) -> str:
        return f"`{self._dataset}.{table}`"


def _lacking(table: str, next_key: str) -> str:
    """Return the condition that a row has an id that it has not under the next key."""
    missing = (f"(old.{name} IS NOT NULL AND old.{NEXT}{name} IS NULL)" for name in _IDS[table])
    if table == _REPORTS:
        some = " OR ".join(f"old.{name} IS NOT NULL" for name in REPORT_IDS)
        return f"({some}) AND (old.{NEXT_KEY} IS DISTINCT FROM '{next_key}' OR {' OR '.join(missing)})"
    return f"old.{NEXT_KEY} IS DISTINCT FROM '{next_key}' OR {' OR '.join(missing)}"
