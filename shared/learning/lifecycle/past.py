"""Read from the ledger the past that the gate needs: the looks taken and the champions of before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.learning.judging.looks import Look
from shared.learning.judging.record import ChampionRecord, Past
from shared.learning.judging.review import LOOK_LEVEL, LOOK_UNTIL
from shared.learning.lifecycle.reconcile import MOVES

_MONTH = dt.timedelta(days=30.4)


def past(rows: Sequence[LedgerRow], now: dt.datetime, months: float, refused: str | None) -> Past:
    """Return the past by ledger rows in order; `refused` is the champion whose bundle cannot be read, if any.

    Looks are those of all trainings that published a bundle, by whatever decision it serves or not: who has seen a
    verdict has looked. A run looks once, also where it published a refit beside the fit that was judged. A champion
    counts once, from its first swap, unless a rollback took it away for good.
    """
    published = {row.run_id or row.to_version: _metrics(row) for row in rows if row.action == "PUBLISH"}
    taken = _rolled_back(rows)
    since = micros(now - months * _MONTH)
    served = {
        row.to_version: _metrics(row)
        for row in rows
        if row.action == "SWAP"
        and row.to_version not in taken
        and (row.recorded_at >= since or row.to_version == refused)
    }
    records = [_record(version, figures) for version, figures in served.items() if version]
    return Past(
        [
            Look(one[LOOK_UNTIL], one[LOOK_LEVEL])
            for one in published.values()
            if LOOK_UNTIL in one and LOOK_LEVEL in one
        ],
        [one for one in records if one],
        refused,
    )


def _rolled_back(rows: Sequence[LedgerRow]) -> set[str | None]:
    """Return the versions that a rollback took away and no later move brought back."""
    taken = set[str | None]()
    for row in rows:
        if row.action == "ROLLBACK":
            taken.add(row.from_version)
        if row.action in MOVES:
            taken.discard(row.to_version)
    return taken


def _metrics(row: LedgerRow) -> dict[str, float]:
    return msgspec.json.decode(row.metrics, type=dict[str, float]) if row.metrics else {}


def _record(version: str, figures: dict[str, float]) -> ChampionRecord | None:
    """Return the record of a champion, None if its figures are not complete."""
    try:
        return ChampionRecord(
            version,
            figures["average_precision"],
            figures["frauds"] / figures["pix"],
            figures["cost_per_million"] / figures["rules_cost_per_million"],
        )
    except (KeyError, ZeroDivisionError):
        return None
