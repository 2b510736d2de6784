"""`jobs.monitor` over a local BigQuery, as a command: what it says of days whose rows are known."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.deploy.migrate import make
from jobs import monitor
from shared.contract import tables as contract
from shared.learning.monitoring.health_sql import HealthSql
from shared.learning.monitoring.ladder import AGES
from shared.scoring.rules import Rules
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery, storage_client
from tests.contract.rows import Field, Writer
from tests.contract.test_views import REPORTED, SAID, SET_ASIDE

DAY = dt.datetime(2026, 8, 3, tzinfo=dt.UTC)
RATED = {
    "end_to_end_id": (Field.TYPE_STRING, False),
    "initiated_at": (Field.TYPE_INT64, False),
    "scored_at": (Field.TYPE_INT64, False),
    "published_at": (Field.TYPE_INT64, False),
    "amount": (Field.TYPE_STRING, False),
    "score": (Field.TYPE_DOUBLE, False),
    "decision": (Field.TYPE_STRING, False),
    "policy_decision": (Field.TYPE_STRING, False),
    "model_version": (Field.TYPE_STRING, False),
    "degraded": (Field.TYPE_BOOL, False),
    "reasons": (Field.TYPE_STRING, True),
    "side": (Field.TYPE_STRING, False),
    "initiation_form": (Field.TYPE_STRING, False),
    "history_sequence": (Field.TYPE_INT64, False),
    "claim_number": (Field.TYPE_INT64, False),
}
Health = dict[tuple[str, str | None, str | None], dict[str, Any]]


def micros(days: float, milliseconds: int = 0) -> int:
    return round((DAY + dt.timedelta(days=days, milliseconds=milliseconds)).timestamp() * 1_000_000)


def rated(id_: str, score: float | None, decision: str, **more: Any) -> dict[str, Any]:
    """Return a decision at noon, made 20 ms after the message."""
    times = {"initiated_at": micros(0.5), "published_at": micros(0.5), "scored_at": micros(0.5, 20)}
    given = {} if score is None else {"score": score, "model_version": "v1"}
    place = {"history_sequence": 1, "claim_number": 1, "amount": "100.00", "side": "PAYER", "degraded": score is None}
    how = {"initiation_form": "DICT"}
    return {"end_to_end_id": id_, **times, **given, **place, **how, "decision": decision, **more}


ROWS = [
    rated("missed", 0.25, "APPROVE"),
    rated("paid", 0.05, "APPROVE"),
    rated("paid", 0.95, "REJECT", claim_number=2),  # delivered again: the first decision stands
    rated("confirmed", 0.8, "HOLD", reasons=["NEW_PAYEE"]),
    rated("cleared", 0.6, "HOLD", reasons=["NEW_PAYEE", "AMOUNT_ABOVE_HABIT"]),
    rated("drawn", 0.4, "APPROVE", policy_decision="HOLD"),
    rated("unscored", None, "APPROVE"),
    rated("refused", 0.9, "REJECT", reasons=["NEW_PAYEE"]),
    rated("limited", 0.1, "REJECT", reasons=["UNREGISTERED_DEVICE_DAY_LIMIT", "NEW_PAYEE"]),
    rated("milder", 0.75, "HOLD", policy_decision="REJECT", reasons=["NEW_PAYEE", "CONTROL_GROUP"]),
    rated("yesterday", 0.5, "APPROVE", initiated_at=micros(-0.5)),
]


def report(id_: str, days: float, verdict: str) -> dict[str, Any]:
    at = micros(days)
    said = {"source": "ANALYST", "report_id": id_, "verdict": verdict, "reported_at": at, "received_at": at}
    return {"end_to_end_id": id_, **said}


REPORTS = [
    report("missed", 5, "FRAUD"),
    report("confirmed", 0.6, "FRAUD"),
    report("cleared", 0.6, "LEGITIMATE"),
    report("milder", 0.6, "FRAUD"),
    report("refused", 0.6, "LEGITIMATE"),  # the customer asked, so it says nothing about the precision of rejects
]
OUTCOMES = [
    {"end_to_end_id": "paid", "side": "PAYER", "status": "SETTLED", "at": micros(0.6), "received_at": micros(0.6)}
]
REFUSED = [
    {
        "quarantined_at": micros(0.5),
        "topic": "pix-transactions",
        "reason": "malformed",
        "payload_hash": "h",
        "payload_bytes": 1,
        "message_id": "m",
    }
]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("health")
    with local_bigquery(state, state) as local:
        make(local.client, "pix", contract.tables())
        for table, fields, rows in (
            ("score_events", RATED, ROWS),
            ("feedback", REPORTED, REPORTS),
            ("outcomes", SAID, OUTCOMES),
            ("quarantine", SET_ASIDE, REFUSED),
        ):
            writer = Writer(local.server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/{table}", fields)
            assert writer.append(rows) == ""
            writer.close()
        yield local


@pytest.fixture(scope="module")
def measured(
    local: LocalBigQuery, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """Measure the day twice, 6 hours and a bit after its end; return the exit codes and the results."""
    folder = tmp_path_factory.mktemp("buckets")
    with (
        storage_client(folder / "objects", folder / "log") as storage,
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as printed,
    ):
        for bucket in ("pix-models", "pix-data"):
            storage.create_bucket(bucket)
        own = {"GOOGLE_CLOUD_PROJECT": PROJECT, "STORAGE_EMULATOR_HOST": storage.api_endpoint}
        for name, value in {**own, **local.server.addresses}.items():
            patch.setenv(name, value)
        as_of = (DAY + dt.timedelta(days=1.3)).isoformat()
        codes = [monitor.main(["--as-of", as_of, "--days", "1"]) for _ in range(2)]
        yield list(zip(codes, map(json.loads, printed.getvalue().splitlines()), strict=True))


@pytest.fixture(scope="module")
def health(local: LocalBigQuery, measured: object) -> Health:
    """Return the rows of DAY without labels by measure, model and segment."""
    assert measured
    found = [dict(row) for row in local.client.query("SELECT * FROM pix.health").result()]
    return {
        (row["measure"], row["model_version"], row["segment"]): row
        for row in found
        if row["day"] == DAY and row["age_days"] is None
    }


def value(health: Health, measure: str, segment: str | None = None) -> float | None:
    """Return the value of a measure: of the model, or of a segment."""
    found: float | None = health[measure, None if segment else "v1", segment]["value"]
    return found


def test_a_day_is_measured_once(measured: list[tuple[int, dict[str, Any]]]) -> None:
    (first, found), (second, again) = measured
    assert (first, found["outcome"], found["days"], found["cohorts"]) == (0, "MEASURED", 1, len(AGES))
    assert (second, again) == (0, {"outcome": "NOTHING_TO_DO", "days": 0, "cohorts": 0, "rows": 0})


def test_traffic_is_that_of_first_decisions(health: Health) -> None:
    assert [value(health, name) for name in ("decided", "approved", "held", "rejected", "control")] == [8, 3, 3, 2, 2]
    assert value(health, "stopped") == pytest.approx(5 / 8)
    assert value(health, "held_to_budget") == pytest.approx(3 / 500)
    assert value(health, "decide_ms_p99") == 20
    assert value(health, "reasons", "NEW_PAYEE") == 5
    assert value(health, "outcomes", "SETTLED") == 1
    assert value(health, "quarantined", "pix-transactions malformed") == 1


def test_what_no_model_scored_is_apart(health: Health) -> None:
    assert health["decided", None, None]["value"] == health["degraded", None, None]["value"] == 1
    assert ("expected_recall", None, None) not in health


def test_performance_is_foretold_by_the_scores(health: Health) -> None:
    assert value(health, "expected_frauds") == pytest.approx(3.85)
    assert value(health, "expected_missed") == pytest.approx(0.3)
    assert value(health, "expected_missed_brl") == pytest.approx(30.0)
    assert value(health, "expected_precision") == pytest.approx(3.55 / 6)
    assert value(health, "expected_recall") == pytest.approx(3.55 / 3.85)
    row = health["expected_missed", "v1", None]
    assert row["low"] == 0.0
    assert row["high"] == pytest.approx(0.3 + 2 * 1.645 * 0.485, abs=0.01)


def test_without_matured_days_the_dispersion_is_assumed(health: Health) -> None:
    row = health["dispersion", "v1", "ASSUMED"]
    assert (row["value"], row["row_count"]) == (4.0, 0)


def test_good_customers_rejected_are_held_to_the_ceiling_without_what_rules_reject(health: Health) -> None:
    assert value(health, "rejected_by_model") == 2
    assert value(health, "good_rejected") == pytest.approx(0.35 / 4.15)
    assert value(health, "rejects_to_ceiling") == pytest.approx(0.35 / 4.15 / 0.002)


@pytest.mark.parametrize(
    ("age_days", "missed", "judged", "labelled", "expected", "spread"),
    [(3, 0, 4, 3, 2.15, 0.5875), (7, 1, 4, 4, 2.4, 0.775), (87, 1, 5, 6, 2.85, 1.0625)],
)
def test_labels_are_those_of_the_age(
    local: LocalBigQuery, age_days: int, missed: int, judged: int, labelled: int, expected: float, spread: float
) -> None:
    sql = HealthSql(PROJECT, "pix", 87, Rules.load()).cohort(DAY, age_days)
    found = {row["model_version"]: dict(row) for row in local.client.query(sql).result()}
    assert found["v1"] == {
        "side": "PAYER",
        "model_version": "v1",
        "initiation_form": "DICT",
        "passed": 2,
        "missed": missed,
        "missed_brl": 100.0 * missed,
        "judged": judged,
        "confirmed": 2,
        "rejects_judged": 1,
        "rejects_confirmed": 1,
        "labelled": labelled,
        "expected": pytest.approx(expected),
        "spread": pytest.approx(spread),
        "frauds": 2 + missed,
    }
