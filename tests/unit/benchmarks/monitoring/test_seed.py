"""The small day that the benchmark of jobs.monitor multiplies: its decisions."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa

from shared.contract import tables
from shared.replay.arrow_rows import arrow_type
from tests.benchmarks.monitoring.seed import DECIDE_US, decided

ROWS = 10_000
AT = 1_780_000_000_000_000


def replayed() -> pa.Table:
    """Return rows as a replay writes them, without a score."""
    columns = {column.name: pa.nulls(ROWS, arrow_type(column)) for column in tables.table("score_events").schema}
    columns["initiated_at"] = pa.array(np.full(ROWS, AT)).cast(pa.timestamp("us", tz="UTC"))
    return pa.table(columns)


def test_decisions_follow_the_scores_and_some_rejects_are_held_as_controls() -> None:
    scores = np.linspace(0, 1, ROWS)
    rows = decided(replayed(), scores, "v1", np.random.default_rng(2)).to_pylist()
    policies = [row["policy_decision"] or row["decision"] for row in rows]
    assert policies == ["APPROVE"] * 9_900 + ["HOLD"] * 80 + ["REJECT"] * 20
    drawn = {(row["policy_decision"], row["decision"]) for row in rows if row["policy_decision"]}
    assert drawn == {("REJECT", "HOLD")}
    assert [bool(row["reasons"]) for row in rows] == [policy != "APPROVE" for policy in policies]
    assert [row["score"] for row in rows] == scores.tolist()
    taken = {(row["scored_at"] - row["published_at"]) / dt.timedelta(microseconds=1) for row in rows}
    assert DECIDE_US[0] <= min(taken) <= max(taken) < DECIDE_US[1]
