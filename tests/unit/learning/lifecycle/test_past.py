"""What the ledger tells the gate of earlier trainings."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.learning.judging.looks import Look
from shared.learning.lifecycle.past import past

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
FIGURES = {
    "average_precision": 0.4,
    "frauds": 100,
    "pix": 100_000,
    "cost_per_million": 3.0,
    "rules_cost_per_million": 10.0,
    "look_until": 5.0,
    "look_level": 0.01,
}


def row(action: str, version: str, days_ago: float, **figures: float) -> LedgerRow:
    return LedgerRow(
        micros(NOW - dt.timedelta(days=days_ago)),
        action,
        "tests",
        "",
        from_version=version if action == "ROLLBACK" else None,
        to_version=None if action == "ROLLBACK" else version,
        metrics=msgspec.json.encode(FIGURES | figures).decode(),
    )


def test_each_published_bundle_is_a_look_whether_it_serves_or_not() -> None:
    rows = [row("PUBLISH", "v1", 9, look_until=1.0), row("REFUSE", "v1", 9), row("PUBLISH", "v2", 2, look_until=8.0)]
    assert past(rows, NOW, 12, None).looks == [Look(1.0, 0.01), Look(8.0, 0.01)]
    bare = msgspec.structs.replace(rows[0], metrics='{"average_precision": 0.5}')
    assert past([bare, msgspec.structs.replace(bare, metrics=None)], NOW, 12, None).looks == []


def test_a_run_that_published_its_refit_too_has_looked_once() -> None:
    """Neither do rows that two jobs appended at once count twice."""
    judged = msgspec.structs.replace(row("PUBLISH", "v1", 9), run_id="run-7")
    refit = msgspec.structs.replace(row("PUBLISH", "v1-refit", 9), run_id="run-7")
    other = msgspec.structs.replace(row("PUBLISH", "v2", 2), run_id="run-8")
    assert past([judged, refit, other, other], NOW, 12, None).looks == [Look(5.0, 0.01), Look(5.0, 0.01)]


def test_champions_of_the_last_months_are_known_by_their_own_figures() -> None:
    rows = [
        row("SWAP", "ancient", 800, average_precision=0.9),
        row("SWAP", "strong", 200, average_precision=0.6),
        row("SWAP", "withdrawn", 100, average_precision=0.8),
        row("ROLLBACK", "withdrawn", 99),
        row("SWAP", "now", 30),
        row("SWAP", "bare", 3, rules_cost_per_million=0.0),
    ]
    known = past(rows, NOW, 12, None)
    assert [one.version for one in known.champions] == ["strong", "now"]
    best = known.best(0.001)
    assert best is not None
    assert best.version == "strong"
    assert (best.cost_share, best.fraud_share) == pytest.approx((0.3, 0.001))
    assert known.record_of_refused() is None
    refused = past(rows, NOW, 12, "ancient").record_of_refused()
    assert refused is not None
    assert refused.average_precision == 0.9
    assert past([], NOW, 12, "gone").record_of_refused() is None


def test_a_champion_that_a_later_move_brought_back_is_known_again() -> None:
    def back(version: str, other: str, days_ago: float) -> LedgerRow:
        return msgspec.structs.replace(row("ROLLBACK", version, days_ago), to_version=other)

    swaps = [row("SWAP", "v1", 30), row("SWAP", "v2", 20)]
    undone = [*swaps, back("v2", "v1", 19), back("v1", "v2", 18)]
    assert [one.version for one in past(undone, NOW, 12, None).champions] == ["v2"]
    again = [*swaps, back("v2", "v1", 19), row("SWAP", "v2", 18)]
    assert [one.version for one in past(again, NOW, 12, "v2").champions] == ["v1", "v2"]
    assert past(again, NOW, 12, "v2").record_of_refused() is not None
