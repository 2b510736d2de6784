"""A report reaches the score: the functions share history through the store."""

import asyncio
import itertools
from typing import Any

import pytest

from infra.local.cloud import LocalCloud
from shared.adapters.bigquery.lookup import BigQueryLookup
from shared.errors import Unavailable
from tests.builders import encoded, med_report, push_body, transaction
from tests.functions.test_score import scores
from tests.functions.world import ask, deliver, url

FRAUDS = "payee_frauds_30d"
_ids = itertools.count()


def score(cloud: LocalCloud, **changes: Any) -> dict[str, Any]:
    message = transaction(**changes)
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    return message


def features_after(cloud: LocalCloud, **changes: Any) -> dict[str, float]:
    """Return the features of a Pix that is scored an hour after the reports."""
    id_ = f"E12345678202611221100{next(_ids):011d}"
    message = score(cloud, end_to_end_id=id_, initiated_at="2026-11-22T11:00:00Z", **changes)
    found: dict[str, float] = scores(cloud, [message])[0].features
    return found


def frauds_of(cloud: LocalCloud, payee: str) -> float:
    return features_after(cloud, payee__account=payee)[FRAUDS]


def sequences(cloud: LocalCloud, message: dict[str, Any]) -> list[int | None]:
    sql = "SELECT history_sequence FROM pix.feedback WHERE end_to_end_id = @id ORDER BY reported_at"
    return [row.history_sequence for row in ask(cloud, sql, id=message["end_to_end_id"])]


def test_a_confirmed_fraud_counts_once_until_it_is_cancelled(cloud: LocalCloud) -> None:
    message = score(cloud, payee__account="555001")
    report = push_body(encoded(med_report(message["end_to_end_id"])))
    assert deliver(url(cloud, "label"), [report] * 5) == [204] * 5
    assert deliver(url(cloud, "label"), [report]) == [204]
    assert frauds_of(cloud, "555001") == pytest.approx(1.0, abs=0.01)
    (sequence,) = set(sequences(cloud, message))
    row = ask(cloud, "SELECT * FROM pix.score_events WHERE end_to_end_id = @id", id=message["end_to_end_id"])[0]
    assert sequence >= row.history_sequence

    cancelled = {"status": "CANCELLED", "analysis_result": None, "reported_at": "2026-11-22T10:30:00Z"}
    body = push_body(encoded(med_report(message["end_to_end_id"], **cancelled)))
    assert deliver(url(cloud, "label"), [body]) == [204]
    assert frauds_of(cloud, "555001") == pytest.approx(0.0, abs=0.01)


def test_a_report_before_its_pix_comes_again_and_counts_then(cloud: LocalCloud) -> None:
    message = transaction(payee__account="555002")
    body = push_body(encoded(med_report(message["end_to_end_id"])))
    assert deliver(url(cloud, "label"), [body]) == [503]
    assert sequences(cloud, message) == []
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    assert deliver(url(cloud, "label"), [body]) == [204]
    (sequence,) = sequences(cloud, message)
    assert sequence is not None
    assert frauds_of(cloud, "555002") == pytest.approx(1.0, abs=0.01)


def test_a_later_hop_marks_its_payee_and_spares_its_payer(cloud: LocalCloud) -> None:
    message = score(cloud, payer__account="777003", payee__account="555003")
    hop = med_report(message["end_to_end_id"], hop=2, funds_recovery_id="recovery")
    assert deliver(url(cloud, "label"), [push_body(encoded(hop))] * 2) == [204] * 2
    found = features_after(cloud, payer__account="777003", payee__account="555003")
    assert found[FRAUDS] == pytest.approx(1.0, abs=0.01)
    assert found["payee_recoveries"] == pytest.approx(1.0, abs=0.01)
    assert found["payer_victim_30d"] == 0.0


def test_a_fraud_marker_counts_for_the_person_until_it_is_cancelled(cloud: LocalCloud) -> None:
    marker = {"source": "FRAUD_MARKER", "report_id": "of-a-person", "tax_id": "11144477735"}
    for status, at, expected in (("REGISTERED", "09", 1.0), ("CANCELLED", "10", 0.0)):
        body = push_body(encoded(marker | {"status": status, "reported_at": f"2026-11-22T{at}:00:00Z"}))
        assert deliver(url(cloud, "label"), [body, body]) == [204, 204]
        assert features_after(cloud, payee__tax_id="11144477735")["owner_markers"] == expected


def test_transactions_are_looked_up_by_their_days(cloud: LocalCloud) -> None:
    minutes = ("202611201432", "202611190000", "202610012359")
    today, night, month_ago = (f"E12345678{minute}lookup00000" for minute in minutes)
    score(cloud, end_to_end_id=today)
    score(cloud, end_to_end_id=night, initiated_at="2026-11-18T23:59:59Z", device__id="lookup")
    score(cloud, end_to_end_id=month_ago, initiated_at="2026-10-01T23:59:00Z")
    settings = cloud.settings
    lookup = BigQueryLookup(cloud.bigquery(), settings.project, settings.dataset, 30)
    found = asyncio.run(lookup.parties([today, night, month_ago, "E12345678202611201432lookupnever"]))
    assert set(found) == {today, night, month_ago}
    row = ask(cloud, "SELECT * FROM pix.score_events WHERE end_to_end_id = @id", id=night)[0]
    assert found[night] == (row.payer_id, row.payee_id, row.device_id)
    assert asyncio.run(lookup.parties([])) == {}


def test_a_lookup_that_fails_is_unavailable(cloud: LocalCloud) -> None:
    lookup = BigQueryLookup(cloud.bigquery(), cloud.settings.project, "no_such_dataset", 5)
    with pytest.raises(Unavailable, match="NotFound"):
        asyncio.run(lookup.parties([transaction()["end_to_end_id"]]))
