"""The training sample has the examples of a full read, however often and in whichever steps it was extended."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from shared.adapters.bigquery.query import BigQueryQueries
from shared.contract import tables as contract
from shared.errors import Misconfigured
from shared.learning.data.training_query import FACTS, TrainingQuery, sampled
from shared.learning.data.training_sample import MILLION, SampleSql, extend, sample_hash
from tests.contract.local_servers import PROJECT
from tests.contract.test_views import AS_OF, MATURITY_DAYS, REPORTED, World, reported, world

__all__ = ["world"]

DAY = dt.timedelta(days=1)
ALL = 1_000
LATER = [
    reported("old", -3, "FRAUD", fraud_type="MULE_ACCOUNT"),
    reported("released", -3.5, "PENDING"),
    reported("old", -5, "LEGITIMATE"),
    reported("released", -5, "FRAUD", hop=2),
    {**reported("redelivered", -7, "FRAUD"), "received_at": reported("redelivered", -8, "FRAUD")["received_at"]},
    {
        **{name: reported("-", -9, "FRAUD")[name] for name in ("reported_at", "received_at")},
        "source": "FRAUD_MARKER",
        "report_id": "m",
        "status": "CANCELLED",
        "infraction_report_id": "report on released",
    },
]
"""Reports that change verdicts of matured Pix, one of them received late."""
STEPS = [0.0, 6, 10]
"""Days after AS_OF at which the sample is extended; before the first and between them days are missed."""


@pytest.fixture(scope="module")
def later(world: World) -> World:
    world.append("feedback", REPORTED, LATER)
    return world


@pytest.fixture
def empty(later: World) -> Iterator[World]:
    """The world without a sample."""
    yield later
    later.ask(f"DELETE FROM `{PROJECT}.pix.training_sample` WHERE TRUE")


def extended(world: World, days: float, rows_a_day: int = ALL, maturity_days: float = MATURITY_DAYS) -> TrainingQuery:
    as_of = AS_OF + days * DAY
    extend(BigQueryQueries(world.client), SampleSql(PROJECT, "pix", maturity_days, as_of), rows_a_day)
    return TrainingQuery(PROJECT, "pix", maturity_days, as_of)


def comparable(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("end_to_end_id", "verdict", "amount", *FACTS)
    return sorted((tuple(row[name] for name in names) for row in rows), key=str)


def found(world: World, asked: TrainingQuery, legitimate: int = MILLION) -> list[tuple[Any, ...]]:
    """Return the training set that the sample gives."""
    return comparable(world.ask(asked.rows(["amount"], legitimate)))


def read_in_full(world: World, asked: TrainingQuery, legitimate: int = MILLION) -> list[tuple[Any, ...]]:
    """Return the training set that the tables give, in a full read."""
    moment = contract.timestamp(asked.as_of)
    examples = contract.query("training_examples", PROJECT, "pix", asked.maturity_days, moment)
    rows = world.ask(
        f"SELECT *, {sample_hash()} AS hash FROM ({examples}) AS examples "
        f"WHERE initiated_at <= TIMESTAMP_SUB({moment}, INTERVAL {round(24 * asked.maturity_days)} HOUR)"
    )
    taken = [row for row in rows if row["verdict"] == "FRAUD" or row["policy_decision"] or row["hash"] < legitimate]
    hops = {None: None, 1: "root", 2: "later hop"}
    named = [row | {"hop": hops[row["hop"]]} for row in taken]
    return comparable(named)


def test_the_sample_gives_the_examples_of_a_full_read_after_each_step(empty: World) -> None:
    """Verdicts that come, are revoked, contested and taken back by a marker; days that were missed; late reports."""
    verdicts = set()
    for days in STEPS:
        asked = extended(empty, days)
        assert found(empty, asked) == read_in_full(empty, asked), days
        verdicts |= {(row[0], row[1]) for row in found(empty, asked)}
    both = {(name, verdict) for name in ("released", "redelivered") for verdict in ("FRAUD", "LEGITIMATE")}
    assert both | {("old", "LEGITIMATE")} <= verdicts


@pytest.mark.parametrize("legitimate", [MILLION, 500_000, 1])
def test_a_sample_of_all_rows_is_the_sample(empty: World, legitimate: int) -> None:
    """An engine that has all rows takes those that BigQuery takes, at the same rates."""
    asked = extended(empty, 0)
    columns = ("end_to_end_id", "side", "hop", "sampling_rate")

    def taken(sql: str) -> list[tuple[Any, ...]]:
        return sorted((tuple(row[name] for name in columns) for row in empty.ask(sql)), key=str)

    found = taken(sampled(f"({asked.all_rows(['amount'])}) AS all_rows", ["amount"], legitimate))
    assert found == taken(asked.rows(["amount"], legitimate))
    assert found


def test_an_example_has_its_decision_and_the_chance_of_a_milder_one(empty: World) -> None:
    extended(empty, 0)
    columns = ("end_to_end_id", "decision", "policy_decision", "control_probability")
    rows = empty.ask(f"SELECT {', '.join(columns)} FROM `{PROJECT}.pix.training_sample`")
    known = {row["end_to_end_id"]: tuple(row[name] for name in columns[1:]) for row in rows}
    assert known["released"] == ("HOLD", "REJECT", 0.25)
    assert known["held-cleared"] == ("HOLD", None, None)


def test_extending_again_appends_nothing(empty: World) -> None:
    def count() -> int:
        return int(empty.ask(f"SELECT COUNT(*) AS n FROM `{PROJECT}.pix.training_sample`")[0]["n"])

    extended(empty, 4)
    # By then "reported-later" and "old" are frauds beside "held-confirmed"; "released" is no example, as its report
    # is open.
    [counted] = empty.ask(extended(empty, 4).count())
    assert {name: counted[name] for name in ("rows", "labels", "frauds")} == {"rows": 13, "labels": 13, "frauds": 3}
    assert (counted["kept"], counted["first_at"]) == (3, AS_OF - 100 * DAY)
    before = count()
    extended(empty, 4)
    assert count() == before > 0
    sql = SampleSql(PROJECT, "pix", MATURITY_DAYS, AS_OF + 4 * DAY)
    empty.ask(sql.append(sql.matured(None), "MATURED", MILLION))  # two jobs at once
    assert count() == before


def test_an_earlier_training_reads_the_versions_of_its_time(empty: World) -> None:
    before = found(empty, extended(empty, 0))
    extended(empty, 6)
    assert found(empty, extended(empty, 0)) == before
    with pytest.raises(Misconfigured, match="begins at 2026-11-20"):
        extended(empty, -3)


def test_a_sample_has_every_fraud_both_sides_or_neither_and_its_rate(empty: World) -> None:
    asked = extended(empty, 0, rows_a_day=2, maturity_days=10)
    rows = empty.ask(
        f"SELECT DISTINCT sampling_rate FROM `{PROJECT}.pix.training_sample` "
        "WHERE verdict = 'LEGITIMATE' AND policy_decision IS NULL"
    )
    [rate] = [row["sampling_rate"] for row in rows]
    assert 0 < rate <= 1
    for legitimate in (MILLION, 300_000):
        taken = min(legitimate, round(rate * MILLION))
        assert found(empty, asked, legitimate) == read_in_full(empty, asked, taken)
    weights = {
        (row["verdict"], row["policy_decision"]): row["sampling_rate"]
        for row in empty.ask(asked.rows(["amount"], 900_000))
    }
    assert weights["FRAUD", None] == weights["LEGITIMATE", "REJECT"] == 1.0  # the control group is never sampled
    assert weights["LEGITIMATE", None] == min(rate, 0.9)
    [counted] = empty.ask(asked.count())
    assert counted["rows"] == len(found(empty, asked))
    assert counted["frauds"] == 4
