"""Messages of `pix-feedback`: the verdict of each, required fields, bounds, and their rows without personal data."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from infra.derive import derived_files
from shared.contract.feedback import GRAPH_MAX, Feedback, PixReport, decode_feedback, unknown_values
from shared.contract.fields import Verdict
from shared.contract.mapping import feedback_row
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow
from shared.contract.tables import table
from tests.builders import encoded, med_report, transaction
from tests.unit.contract.refusals import reason

E2E = transaction()["end_to_end_id"]
RETURN = "D" + E2E[1:]
AT = "2026-11-22T10:00:00Z"
PSEUDONYMS = Pseudonymiser(b"secret")

ANALYST = {"source": "ANALYST", "report_id": "r", "end_to_end_id": E2E, "reported_at": AT, "verdict": "FRAUD"}
CUSTOMER = {"source": "CUSTOMER", "report_id": "r", "end_to_end_id": E2E, "reported_at": AT, "status": "CONTESTED"}
MARKER = {
    "source": "FRAUD_MARKER",
    "report_id": "r",
    "tax_id": "12345678909",
    "key": "Ana.Silva@Example.com",
    "reported_at": AT,
    "status": "REGISTERED",
    "fraud_type": "MULE_ACCOUNT",
    "infraction_report_id": "i",
}
REFUND = {
    "source": "REFUND",
    "report_id": "r",
    "end_to_end_id": E2E,
    "reported_at": AT,
    "status": "CLOSED",
    "result": "PARTIAL",
    "amount": "80.5",
    "rejection": None,
}
RECOVERY = {
    "source": "FUNDS_RECOVERY",
    "report_id": "r",
    "root_end_to_end_id": E2E,
    "reported_at": AT,
    "status": "TRACKED",
    "graph": [{"end_to_end_id": E2E, "hop": 1, "amount": "150.00"}],
}
HOP = med_report(
    E2E,
    reason="REFUND_REQUEST",
    created_at=AT,
    funds_recovery_id="f",
    root_end_to_end_id=E2E.replace("E1", "E2"),
    hop=2,
    infraction_amount="80.00",
)
EVERY: list[dict[str, Any]] = [med_report(E2E), HOP, ANALYST, CUSTOMER, MARKER, REFUND, RECOVERY]


def test_the_state_of_a_report_is_the_same_whether_or_not_a_key_follows() -> None:
    following = Pseudonymiser(b"another")
    for message in EVERY:
        plain, both = (feedback_row(decoded(message), 5, PSEUDONYMS, following=each) for each in (None, following))
        named = {name: value for name, value in both.columns().items() if not name.startswith("next_")}
        assert named == plain.columns(), "also the hash by which states are ordered"
        own = feedback_row(decoded(message), 5, following)
        assert (both.next_person_id, both.next_key_id) == (own.person_id, own.key_id)
        assert both.next_hmac_key == (following.fingerprint if own.person_id or own.analyst_id else None)


def decoded(message: dict[str, Any]) -> Feedback:
    return decode_feedback(encoded(message)).value


def verdict(message: dict[str, Any]) -> Verdict:
    report = decoded(message)
    assert isinstance(report, PixReport)
    return report.verdict


def row(message: dict[str, Any], received_at: int = 0) -> FeedbackRow:
    return feedback_row(decoded(message), received_at, PSEUDONYMS)


@pytest.mark.parametrize(
    ("status", "result", "expected"),
    [
        ("OPEN", None, Verdict.PENDING),
        ("ACKNOWLEDGED", None, Verdict.PENDING),
        ("CLOSED", "AGREED", Verdict.FRAUD),
        ("CLOSED", "DISAGREED", Verdict.LEGITIMATE),
        ("CANCELLED", None, Verdict.LEGITIMATE),
        ("CANCELLED", "AGREED", Verdict.LEGITIMATE),
    ],
)
def test_the_verdict_of_a_med_report(status: str, result: str | None, expected: Verdict) -> None:
    assert verdict(med_report(E2E, status=status, analysis_result=result)) is expected


def test_the_verdict_of_an_analyst_and_of_a_customer() -> None:
    assert verdict(ANALYST) is Verdict.FRAUD
    assert verdict(CUSTOMER) is Verdict.PENDING
    assert verdict(CUSTOMER | {"status": "WITHDRAWN"}) is Verdict.LEGITIMATE
    assert reason(encoded(ANALYST | {"verdict": "PENDING"}), decode_feedback) == ("invalid_value", "verdict")


def test_a_closed_report_needs_its_result_but_no_kind_of_fraud() -> None:
    assert reason(encoded(med_report(E2E, analysis_result=None)), decode_feedback) == (
        "missing_field",
        "analysis_result",
    )
    assert row(med_report(E2E, fraud_type=None)).fraud_type is None


def test_a_report_on_a_cancelled_refund_names_the_return() -> None:
    cancelled = med_report(RETURN, reason="REFUND_CANCELLED", situation_type="OTHER")
    assert row(cancelled).reason == "REFUND_CANCELLED"
    assert reason(encoded(cancelled | {"end_to_end_id": E2E}), decode_feedback) == ("invalid_value", "end_to_end_id")


@pytest.mark.parametrize("message", EVERY, ids=lambda each: each["source"])
def test_each_message_is_a_row_without_personal_data(message: dict[str, Any]) -> None:
    columns = row(message).columns()
    assert set(columns) <= {column.name for column in table("feedback").schema}
    text = msgspec.json.encode(columns).decode()
    assert not [each for each in ("12345678909", "ana.silva", "Ana.Silva", "silva") if each in text]
    assert columns["source"] == message["source"]


def test_the_columns_of_a_row_are_those_of_the_table() -> None:
    assert set(FeedbackRow.__struct_fields__) == {column.name for column in table("feedback").schema}


def test_the_fields_of_a_later_hop_are_columns() -> None:
    found = row(HOP)
    assert (found.funds_recovery_id, found.hop, found.infraction_amount) == ("f", 2, 8000)
    assert found.root_end_to_end_id == HOP["root_end_to_end_id"]
    assert found.created_at == found.reported_at


@pytest.mark.parametrize(("root", "hop"), [(E2E, 1), (E2E.replace("E1", "E2"), 2), (None, None)])
def test_a_hop_that_is_not_given_follows_from_the_root(root: str | None, hop: int | None) -> None:
    assert row(med_report(E2E, root_end_to_end_id=root)).hop == hop


def test_a_marker_has_the_pseudonyms_of_its_person_and_key() -> None:
    found = row(MARKER)
    assert found.person_id == PSEUDONYMS.person("12345678909")
    assert found.key_id == PSEUDONYMS.key("ana.silva@example.com")
    assert (found.end_to_end_id, found.verdict, found.status) == (None, None, "REGISTERED")


def test_an_analyst_is_a_pseudonym() -> None:
    found = row(ANALYST | {"analyst": "ana.silva@bank.example", "shown_because": "CONTROL"})
    assert found.analyst_id == PSEUDONYMS.person("ana.silva@bank.example")
    assert found.shown_because == "CONTROL"


def test_amounts_and_graphs_are_columns() -> None:
    assert (row(REFUND).amount, row(REFUND).result) == (8050, "PARTIAL")
    graph = row(RECOVERY).graph
    assert graph is not None
    assert json.loads(graph) == RECOVERY["graph"]


def test_the_hash_of_a_state_is_that_of_the_report_alone() -> None:
    message = med_report(E2E)
    assert row(message, 1).state_hash == row(message, 2).state_hash
    assert row(message).state_hash != row(message | {"situation_type": "OTHER"}).state_hash
    every = [row(each).state_hash for each in EVERY]
    assert all(each is not None and 0 <= each < 2**63 for each in every)


@pytest.mark.parametrize(
    ("message", "field", "value", "fault"),
    [
        (HOP, "hop", 0, "invalid_value"),
        (HOP, "hop", 101, "invalid_value"),
        (HOP, "infraction_amount", "-1", "invalid_value"),
        (HOP, "created_at", "9999-12-31T00:00:00Z", "invalid_value"),
        (HOP, "reason", "NEWR", "invalid_value"),
        (HOP, "root_end_to_end_id", "E1", "invalid_value"),
        (CUSTOMER, "status", "LOST", "invalid_value"),
        (MARKER, "status", "LOST", "invalid_value"),
        (MARKER, "tax_id", "123", "invalid_value"),
        (MARKER, "key", "", "invalid_value"),
        (REFUND, "amount", "1.234", "invalid_value"),
        (RECOVERY, "root_end_to_end_id", E2E[:9] + "202613011432" + E2E[21:], "invalid_value"),
        (RECOVERY, "graph", [RECOVERY["graph"][0]] * (GRAPH_MAX + 1), "invalid_value"),
        (RECOVERY, "graph", "no list", "wrong_type"),
    ],
)
def test_values_are_bounded(message: dict[str, Any], field: str, value: object, fault: str) -> None:
    assert reason(encoded(message | {field: value}), decode_feedback) == (fault, field)


def test_a_faulty_edge_is_named() -> None:
    edge = {"end_to_end_id": E2E, "hop": 0}
    assert reason(encoded(RECOVERY | {"graph": [edge]}), decode_feedback)[1] == "graph[0].hop"


@pytest.mark.parametrize("message", EVERY, ids=lambda each: each["source"])
def test_unknown_fields_are_counted_in_each_message_and_its_parts(message: dict[str, Any]) -> None:
    assert decode_feedback(encoded(message | {"novelty": 1})).unknown_fields == 1
    assert decode_feedback(encoded(message)).unknown_fields == 0


def test_unknown_fields_of_edges_are_counted() -> None:
    edges = [{"end_to_end_id": E2E, "hop": 1, "novelty": 1}] * 2
    assert decode_feedback(encoded(RECOVERY | {"graph": edges})).unknown_fields == 2


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (HOP, "situation_type"),
        (HOP, "fraud_type"),
        (ANALYST, "shown_because"),
        (MARKER, "fraud_type"),
        (REFUND, "status"),
        (REFUND, "result"),
        (REFUND, "rejection"),
        (RECOVERY, "status"),
    ],
)
def test_an_unknown_code_is_stored_as_other_and_named(message: dict[str, Any], field: str) -> None:
    for value, named in (("NEWV", [field]), ("OTHER", [])):
        data = encoded(message | {field: value})
        report = decode_feedback(data).value
        assert getattr(feedback_row(report, 0, PSEUDONYMS), field) == "OTHER"
        assert unknown_values(report, data) == named


def test_the_json_schema_accepts_each_message() -> None:
    schema = next(json.loads(text) for path, text in derived_files().items() if path.stem == "pix-feedback")
    validator = jsonschema.Draft202012Validator(schema)
    for message in EVERY:
        assert validator.is_valid(message)
        assert not validator.is_valid(message | {"report_id": "a b"})
