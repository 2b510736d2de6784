"""The views over repeated, contradictory, young and unreported rows."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from infra.deploy.migrate import NO_RETRY, make
from shared.adapters.memory.learning import MemoryExports, MemoryQueries
from shared.contract import tables as contract
from shared.contract.fields import NOBODY
from shared.learning.data.dataset import TrainingSource
from shared.learning.data.unjudged import unjudged_sql
from shared.learning.data.unlabelled import DecisionCount, counts_sql, unlabelled
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.rows import Field, Writer

AS_OF = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
MATURITY_DAYS = 87
DAY = dt.timedelta(days=1)
SCORED = {
    "end_to_end_id": (Field.TYPE_STRING, False),
    "initiated_at": (Field.TYPE_INT64, False),
    "scored_at": (Field.TYPE_INT64, False),
    "amount": (Field.TYPE_STRING, False),
    "decision": (Field.TYPE_STRING, False),
    "payer_ispb": (Field.TYPE_STRING, False),
    "side": (Field.TYPE_STRING, False),
    "history_sequence": (Field.TYPE_INT64, False),
    "decided_sequence": (Field.TYPE_INT64, False),
    "policy_decision": (Field.TYPE_STRING, False),
    "control_probability": (Field.TYPE_DOUBLE, False),
    "reasons": (Field.TYPE_STRING, True),
    "reason_contributions": (Field.TYPE_DOUBLE, True),
}
REASONS, CONTRIBUTIONS = ["PAYEE_MARKED", "NEW_PAYEE"], [0.0, 1.25]
REPORTED = {
    "source": (Field.TYPE_STRING, False),
    "report_id": (Field.TYPE_STRING, False),
    "end_to_end_id": (Field.TYPE_STRING, False),
    "reported_at": (Field.TYPE_INT64, False),
    "received_at": (Field.TYPE_INT64, False),
    "verdict": (Field.TYPE_STRING, False),
    "status": (Field.TYPE_STRING, False),
    "analysis_result": (Field.TYPE_STRING, False),
    "hop": (Field.TYPE_INT64, False),
    "infraction_report_id": (Field.TYPE_STRING, False),
    "state_hash": (Field.TYPE_INT64, False),
    "situation_type": (Field.TYPE_STRING, False),
    "fraud_type": (Field.TYPE_STRING, False),
}
SAID = {
    "end_to_end_id": (Field.TYPE_STRING, False),
    "side": (Field.TYPE_STRING, False),
    "status": (Field.TYPE_STRING, False),
    "at": (Field.TYPE_INT64, False),
    "received_at": (Field.TYPE_INT64, False),
}

SET_ASIDE = {
    "quarantined_at": (Field.TYPE_INT64, False),
    "topic": (Field.TYPE_STRING, False),
    "reason": (Field.TYPE_STRING, False),
    "payload_hash": (Field.TYPE_STRING, False),
    "payload_bytes": (Field.TYPE_INT64, False),
    "message_id": (Field.TYPE_STRING, False),
}


def days_ago(days: float) -> int:
    return round((AS_OF - dt.timedelta(days=days)).timestamp() * 1_000_000)


def scored(id_: str, days: float, after: int = 0, amount: str = "1.00", sequence: int | None = 1) -> dict[str, Any]:
    row = {"end_to_end_id": id_, "initiated_at": days_ago(days), "scored_at": days_ago(days) + after}
    counted = {} if sequence is None else {"history_sequence": sequence}
    return {**row, "amount": amount, "decision": "APPROVE", **counted}


def reported(id_: str, days: float, verdict: str, after: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a state of the one infraction report about a Pix."""
    at = days_ago(days)
    row = {"end_to_end_id": id_, "reported_at": at, "received_at": at + after, "verdict": verdict, **STATES[verdict]}
    return {"source": "MED", "report_id": f"report on {id_}", **row, **fields}


def outcome(id_: str, days: float, status: str) -> dict[str, Any]:
    return {"end_to_end_id": id_, "side": "PAYER", "status": status, "at": days_ago(days), "received_at": days_ago(0)}


STATES: dict[str, dict[str, str]] = {
    "PENDING": {"status": "OPEN"},
    "FRAUD": {"status": "CLOSED", "analysis_result": "AGREED"},
    "LEGITIMATE": {"status": "CLOSED", "analysis_result": "DISAGREED"},
}
"""The columns of an infraction report by its verdict."""


SCORES = [
    scored("old", 100),
    scored("young", 50),
    scored("disputed", 100),
    scored("defrauded", 50),
    scored("revoked", 100),
    scored("cleared-young", 50),
    scored("redelivered", 100, amount="1.00"),
    scored("redelivered", 100, after=9, amount="2.00", sequence=2),
    scored("contradictory", 100, amount="1.00"),
    scored("contradictory", 99, amount="2.00", sequence=2),
    scored("degraded", 100, sequence=None),
    scored("reported-later", 100),
    scored("tried", 100) | {"payer_ispb": NOBODY},
    scored("held", 100) | {"decision": "HOLD"},
    scored("released", 100) | {"decision": "HOLD", "policy_decision": "REJECT", "control_probability": 0.25},
    scored("rejected", 100) | {"decision": "REJECT"} | {"reasons": REASONS, "reason_contributions": CONTRIBUTIONS},
    scored("held-young", 50) | {"decision": "HOLD"},
    scored("held-cleared", 100) | {"decision": "HOLD"},
    scored("held-confirmed", 100) | {"decision": "HOLD"},
    scored("stopped-cancelled", 100) | {"decision": "REJECT"},
    scored("paid-cancelled", 100) | {"decision": "HOLD"},
    scored("blocked", 100),
    scored("blocked", 100, after=5) | {"side": "PAYEE", "decision": "BLOCK"},
    scored("unblocked", 100),
    scored("unblocked", 100, after=5) | {"side": "PAYEE", "decision": "BLOCK"},
    scored("blocked-again", 100),
    scored("expired", 100),
    scored("late-settled", 100),
    scored("both-sides", 50) | {"side": "PAYER"},
    scored("both-sides", 50, after=5) | {"side": "PAYEE", "decision": "BLOCK"},
    scored("both-approved", 100) | {"decided_sequence": 2},
    scored("both-approved", 100, after=5) | {"side": "PAYEE"},
    scored("refused-later", 100) | {"decided_sequence": 2},
    scored("refused-later", 100, after=5) | {"side": "PAYEE", "decision": "REJECT", "decided_sequence": 3},
]
OUTCOMES = [
    outcome("released", 100, "SETTLED"),
    outcome("paid-cancelled", 100, "SETTLED"),
    outcome("blocked", 100, "SETTLED"),
    outcome("unblocked", 99, "BLOCKED"),
    outcome("unblocked", 98, "RELEASED"),
    outcome("blocked-again", 99, "BLOCKED"),
    outcome("blocked-again", 98, "RELEASED"),
    outcome("blocked-again", 97, "BLOCKED"),
    outcome("expired", 100, "EXPIRED"),
    outcome("late-settled", 100, "EXPIRED"),
    outcome("late-settled", 99, "SETTLED"),
]
REPORTS = [
    reported("disputed", 90, "PENDING"),
    reported("defrauded", 48, "PENDING", situation_type="OTHER"),
    reported("defrauded", 45, "FRAUD", situation_type="SCAM", fraud_type="MULE_ACCOUNT"),
    reported("cleared-young", 45, "FRAUD"),
    reported("cleared-young", 40, "LEGITIMATE"),
    reported("revoked", 95, "FRAUD"),
    reported("revoked", 60, "LEGITIMATE"),
    reported("stopped-cancelled", 90, "LEGITIMATE"),
    reported("paid-cancelled", 90, "LEGITIMATE"),
    reported("held-cleared", 99, "LEGITIMATE") | {"source": "ANALYST", "status": None, "analysis_result": None},
    reported("held-confirmed", 99, "FRAUD") | {"source": "ANALYST", "status": None, "analysis_result": None},
    reported("reported-later", -1, "FRAUD"),
    reported("unknown", 3, "FRAUD"),
    reported("both-sides", 40, "FRAUD", hop=2),
]


class World:
    """The product's tables with these rows."""

    def __init__(self, local: LocalBigQuery) -> None:
        self.server, self.client = local
        make(self.client, "pix", contract.tables(), contract.views(PROJECT, "pix", MATURITY_DAYS))
        self.append("score_events", SCORED, SCORES)
        self.append("feedback", REPORTED, REPORTS)
        self.append("outcomes", SAID, OUTCOMES)

    def append(self, table: str, fields: dict[str, tuple[int, bool]], rows: list[dict[str, Any]]) -> None:
        writer = Writer(self.server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/{table}", fields)
        assert writer.append(rows) == ""
        writer.close()

    def rows(self, view: str) -> list[dict[str, Any]]:
        moment = f"TIMESTAMP '{AS_OF:%Y-%m-%d %H:%M:%S}+00'"
        return self.ask(contract.query(view, PROJECT, "pix", MATURITY_DAYS, moment))

    def ask(self, sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.client.query(sql, retry=NO_RETRY, job_retry=NO_RETRY).result()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    state = tmp_path_factory.mktemp("views")
    with local_bigquery(state, state) as local:
        yield World(local)


def test_the_verdict_in_force_is_the_latest_one_known_by_then(world: World) -> None:
    verdicts = sorted((row["end_to_end_id"], row["verdict"]) for row in world.rows("labels"))
    assert verdicts == [
        *[("blocked", "UNKNOWN")] * 2,
        ("blocked-again", "UNKNOWN"),
        *[("both-approved", "LEGITIMATE")] * 2,
        *[("both-sides", "FRAUD")] * 2,
        ("cleared-young", "LEGITIMATE"),
        ("contradictory", "LEGITIMATE"),
        ("defrauded", "FRAUD"),
        ("degraded", "LEGITIMATE"),
        ("disputed", "PENDING"),
        ("expired", "UNKNOWN"),
        ("held", "UNKNOWN"),
        ("held-cleared", "LEGITIMATE"),
        ("held-confirmed", "FRAUD"),
        ("late-settled", "LEGITIMATE"),
        ("old", "LEGITIMATE"),
        ("paid-cancelled", "LEGITIMATE"),
        ("redelivered", "LEGITIMATE"),
        *[("refused-later", "UNKNOWN")] * 2,
        ("rejected", "UNKNOWN"),
        ("released", "LEGITIMATE"),
        ("reported-later", "LEGITIMATE"),
        ("revoked", "LEGITIMATE"),
        ("stopped-cancelled", "UNKNOWN"),
        ("tried", "LEGITIMATE"),
        *[("unblocked", "LEGITIMATE")] * 2,
        ("unknown", "FRAUD"),
    ]


def test_a_verdict_names_its_side_its_source_and_its_hop(world: World) -> None:
    labels = {
        (row["end_to_end_id"], row["side"]): (row["verdict_source"], row["hop"]) for row in world.rows("labels")
    }
    assert labels["both-sides", "PAYER"] == labels["both-sides", "PAYEE"] == ("AGREED", 2)
    assert labels["unknown", "PAYER"] == ("AGREED", 1)
    assert labels["disputed", "PAYER"] == ("OPEN", 1)
    assert labels["revoked", "PAYER"] == ("DISAGREED", 1)
    assert labels["old", "PAYER"] == ("SILENCE", None)


def test_who_was_not_paid_has_no_label_by_silence_or_by_a_report_that_ended(world: World) -> None:
    sources = {row["end_to_end_id"]: row["verdict_source"] for row in world.rows("labels")}
    assert {sources[name] for name in ("rejected", "held", "expired", "refused-later", "blocked")} == {"UNPAID"}
    assert sources["stopped-cancelled"] == "DISAGREED"
    assert {sources[name] for name in ("released", "late-settled", "unblocked")} == {"SILENCE"}
    assert "held-young" not in sources


def test_no_example_is_without_a_label(world: World) -> None:
    unknown = {row["end_to_end_id"] for row in world.rows("labels") if row["verdict"] == "UNKNOWN"}
    assert len(unknown) == 7
    assert unknown.isdisjoint(row["end_to_end_id"] for row in world.rows("training_examples"))
    lives = {row["end_to_end_id"]: row["verdict"] for row in world.rows("life")}
    assert {lives[name] for name in unknown} == {"UNKNOWN"}


def test_decisions_without_a_label_are_counted_by_side_decision_and_reason(world: World) -> None:
    found = world.ask(counts_sql(PROJECT, "pix", MATURITY_DAYS, AS_OF - 101 * DAY, AS_OF))
    lacking = unlabelled([msgspec.convert(row, DecisionCount) for row in found])
    assert {(one.side, one.decision, one.reason): (one.rows, one.decided) for one in lacking} == {
        ("PAYER", "APPROVE", "UNPAID"): (4, 15),
        ("PAYEE", "BLOCK", "UNPAID"): (1, 2),
        ("PAYEE", "REJECT", "UNPAID"): (1, 1),
        ("PAYER", "HOLD", "UNPAID"): (1, 5),
        ("PAYER", "REJECT", "UNPAID"): (1, 2),
        ("PAYER", "REJECT", "ENDED"): (1, 2),
        ("PAYER", "APPROVE", "OPEN"): (1, 15),
    }
    since = AS_OF - 99 * DAY
    assert all(row["reason"] is None for row in world.ask(counts_sql(PROJECT, "pix", MATURITY_DAYS, since, AS_OF)))


def test_decisions_that_no_label_judges_are_read_with_their_features_and_their_number(world: World) -> None:
    source = TrainingSource(MemoryExports(pa.table({})), MemoryQueries(lambda *_: []), PROJECT, "pix", MATURITY_DAYS)
    found = world.ask(unjudged_sql(source, AS_OF, days_ago(101), ["amount"], 100))
    unknown = [row for row in world.rows("labels") if row["verdict"] == "UNKNOWN"]
    assert len(found) == len(unknown) > 7
    assert {row["found"] for row in found} == {len(unknown)}
    assert sorted((row["side"], row["decision"]) for row in found) == sorted(
        (row["side"], row["decision"])
        for row in world.rows("scores")
        if (row["end_to_end_id"], row["side"]) in {(one["end_to_end_id"], one["side"]) for one in unknown}
    )
    some = world.ask(unjudged_sql(source, AS_OF, days_ago(101), ["amount"], 3))
    assert (len(some), {row["found"] for row in some}) == (3, {len(unknown)})
    assert world.ask(unjudged_sql(source, AS_OF, days_ago(99), ["amount"], 100)) == []


def test_a_pix_is_one_example_with_its_first_served_row(
    world: World,
) -> None:
    examples = sorted(
        (row["end_to_end_id"], row["amount"], row["verdict"]) for row in world.rows("training_examples")
    )
    assert examples == [
        ("both-approved", 1.0, "LEGITIMATE"),
        ("both-approved", 1.0, "LEGITIMATE"),
        ("both-sides", 1.0, "FRAUD"),
        ("both-sides", 1.0, "FRAUD"),
        ("contradictory", 1.0, "LEGITIMATE"),
        ("defrauded", 1.0, "FRAUD"),
        ("held-cleared", 1.0, "LEGITIMATE"),
        ("held-confirmed", 1.0, "FRAUD"),
        ("late-settled", 1.0, "LEGITIMATE"),
        ("old", 1.0, "LEGITIMATE"),
        ("paid-cancelled", 1.0, "LEGITIMATE"),
        ("redelivered", 1.0, "LEGITIMATE"),
        ("released", 1.0, "LEGITIMATE"),
        ("reported-later", 1.0, "LEGITIMATE"),
        ("revoked", 1.0, "LEGITIMATE"),
        ("unblocked", 1.0, "LEGITIMATE"),
        ("unblocked", 1.0, "LEGITIMATE"),
    ]


def test_the_control_group_is_in_scores_and_examples(world: World) -> None:
    for view in ("scores", "training_examples"):
        drawn = [
            (row["decision"], row["policy_decision"], row["control_probability"])
            for row in world.rows(view)
            if row["end_to_end_id"] in ("released", "held-cleared")
        ]
        assert sorted(drawn, key=str) == [("HOLD", "REJECT", 0.25), ("HOLD", None, None)], view


def test_each_reason_has_its_contribution(world: World) -> None:
    told = {row["end_to_end_id"]: (row["reasons"], row["reason_contributions"]) for row in world.rows("scores")}
    assert (told["rejected"], told["old"]) == ((REASONS, CONTRIBUTIONS), ([], []))


def test_both_sides_of_a_pix_are_examples_and_settle_alike(world: World) -> None:
    examples = sorted(
        (row["end_to_end_id"], row["side"], row["settled"], row["hop"])
        for row in world.rows("training_examples")
        if row["end_to_end_id"] in ("both-sides", "both-approved", "released")
    )
    assert examples == [
        ("both-approved", "PAYEE", True, None),
        ("both-approved", "PAYER", True, None),
        ("both-sides", "PAYEE", False, 2),
        ("both-sides", "PAYER", False, 2),
        ("released", "PAYER", True, None),
    ]


def test_a_message_quarantined_at_each_delivery_counts_once(world: World) -> None:
    def aside(message_id: str | None, digest: str, after: int) -> dict[str, Any]:
        own = {} if message_id is None else {"message_id": message_id}
        row = {"quarantined_at": days_ago(1) + after, "topic": "t", "reason": "not_json", "payload_hash": digest}
        return {**row, "payload_bytes": 1, **own}

    rows = [("1", "a", 0), ("1", "a", 5), ("2", "a", 1), (None, "c", 2), (None, "c", 3), (None, "d", 0)]
    world.append("quarantine", SET_ASIDE, [aside(*row) for row in rows])
    found = [(row["message_id"], row["payload_hash"], row["quarantined_at"]) for row in world.rows("quarantined")]
    assert sorted((digest, id_ or "") for id_, digest, _ in found) == [
        ("a", "1"),
        ("a", "2"),
        ("c", ""),
        ("d", ""),
    ]


def test_an_example_has_the_kind_of_its_report_in_force(world: World) -> None:
    kinds = {
        row["end_to_end_id"]: (row["situation_type"], row["fraud_type"]) for row in world.rows("training_examples")
    }
    assert kinds["defrauded"] == ("SCAM", "MULE_ACCOUNT")
    assert kinds["old"] == (None, None)
