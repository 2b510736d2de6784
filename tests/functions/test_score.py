"""The score function under functions-framework: the rows and the answer of each delivery."""

import base64
import json
import random
from typing import Any

import pytest
from google.cloud import bigquery

from infra.local.cloud import LocalCloud
from shared.contract.payload_hash import PayloadHash
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed
from shared.settings import LOCAL_HMAC_KEY
from tests.builders import encoded, push_body, transaction
from tests.functions.world import ask, deliver, url
from tests.waiting import PATIENCE, until, until_equal

PAYLOAD_HASH = PayloadHash(LOCAL_HMAC_KEY.encode())

SCORES = "SELECT * FROM pix.scores WHERE end_to_end_id IN UNNEST(@ids)"


def scores(cloud: LocalCloud, messages: list[dict[str, Any]]) -> list[bigquery.Row]:
    return ask(cloud, SCORES, ids=[message["end_to_end_id"] for message in messages])


def test_a_push_is_one_row_with_decision_features_and_pseudonyms(cloud: LocalCloud) -> None:
    message = transaction(amount="321.09")
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    (row,) = scores(cloud, [message])
    assert str(row.amount.normalize()) == "321.09"
    assert row.decision in {"APPROVE", "HOLD", "REJECT"}
    assert row.features["amount"] == pytest.approx(321.09)
    assert row.features["new_device"] in (0.0, 1.0)
    assert message["payer"]["account"] not in row.payer_id


def test_an_eventarc_delivery_is_scored_like_a_push(cloud: LocalCloud) -> None:
    message = transaction()
    headers = {
        "content-type": "application/json",
        "ce-id": "1",
        "ce-source": "//pubsub.googleapis.com/projects/test/topics/pix-transactions",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-time": "2026-11-20T14:32:05.500Z",
    }
    assert deliver(url(cloud, "score"), [push_body(encoded(message))], headers=headers) == [204]
    assert len(scores(cloud, [message])) == 1


def test_a_redelivery_repeats_the_row_and_the_view_has_it_once(cloud: LocalCloud) -> None:
    message = transaction(payer__account="777001", payee__account="777002")
    first = [204] * 20
    assert deliver(url(cloud, "score"), [push_body(encoded(message))] * 20) == first
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    (row,) = scores(cloud, [message])
    raw = ask(
        cloud,
        "SELECT DISTINCT scored_at, decision, history_sequence, f_payer_sent_count_1h "
        "FROM pix.score_events WHERE end_to_end_id = @id",
        id=message["end_to_end_id"],
    )
    assert len(raw) == 1
    assert row.scored_at == raw[0].scored_at
    after = transaction(payer__account="777001", payee__account="777002")
    deliver(url(cloud, "score"), [push_body(encoded(after))])
    assert scores(cloud, [after])[0].features["payer_sent_count_1h"] == pytest.approx(1.0, abs=0.01)


def test_a_different_message_under_a_taken_id_is_quarantined(cloud: LocalCloud) -> None:
    message = transaction(amount="10.00")
    other = encoded(message | {"amount": "90000.00"})
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    assert deliver(url(cloud, "score"), [push_body(other)]) == [204]
    [row] = scores(cloud, [message])
    assert row.features["amount"] == pytest.approx(10)
    sql = "SELECT reason, field FROM pix.quarantined WHERE payload_hash = @hash"
    [aside] = ask(cloud, sql, hash=PAYLOAD_HASH(other))
    assert tuple(aside.values()) == ("end_to_end_id_taken", "end_to_end_id")


def test_an_old_transaction_is_scored_and_marked_late(cloud: LocalCloud) -> None:
    message = transaction(end_to_end_id="E1234567820260101000000000000777", initiated_at="2026-01-01T00:00:00Z")
    deliver(url(cloud, "score"), [push_body(encoded(message))])
    assert scores(cloud, [message])[0].late


def spoilt(chance: random.Random) -> bytes:
    """Return a body that is not a valid transaction, for one of many reasons."""
    message = transaction()
    way = chance.randrange(12)
    if way == 0:
        return push_body(chance.randbytes(chance.randrange(1, 200)))
    if way == 1:
        return push_body(encoded(message)[: chance.randrange(1, 300)])
    if way == 2:
        return chance.randbytes(chance.randrange(200))
    if way == 3:
        return encoded({"message": {"data": "not base64!"}})
    if way == 4:
        return push_body(b'{"a":' * 5000)
    if way == 5:
        return encoded({"message": {"messageId": "1"}})
    if way == 6:
        return b"[" * 50_000
    if way == 7:
        return encoded(message)
    if way == 8:
        return push_body(json.dumps(message | {"amount": float("nan")}).encode())
    field = chance.choice(sorted(message))
    return push_body(encoded(message | {field: chance.choice([None, [], {}, -1, "", "x", 12345678909, True])}))


def is_malformed(body: bytes) -> bool:
    try:
        data = base64.b64decode(json.loads(body)["message"]["data"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        return True
    try:
        decode_transaction(data)
    except Malformed:
        return True
    return False


def test_each_malformed_delivery_is_acknowledged_with_one_row(cloud: LocalCloud) -> None:
    chance = random.Random(7)
    bodies = [body for _ in range(2000) if is_malformed(body := spoilt(chance))] + [push_body(b"x" * 90_000)]
    before = ask(cloud, "SELECT COUNT(*) AS n FROM pix.quarantine")[0].n
    assert set(deliver(url(cloud, "score"), bodies)) == {204}
    rows = ask(cloud, "SELECT * FROM pix.quarantine")
    assert len(rows) - before == len(bodies)
    assert {"not_json", "not_base64", "no_data", "not_an_envelope", "too_deep", "wrong_type", "too_large"} <= {
        row.reason for row in rows
    }
    blob = PAYLOAD_HASH(b"x" * 90_000)
    assert {(row.reason, row.payload_bytes) for row in rows if row.payload_hash == blob} == {("too_large", 90_000)}


def test_a_killed_function_loses_nothing(cloud: LocalCloud) -> None:
    """Pub/Sub redelivers the messages in flight once the function has restarted."""
    from google.cloud import pubsub_v1

    publisher = pubsub_v1.PublisherClient()
    topic = publisher.topic_path(cloud.settings.project, "pix-transactions")
    messages = [transaction(payer__account=f"88{i % 50}") for i in range(1500)]
    score = cloud.functions["score"]
    restarts = score.restarts
    futures = [publisher.publish(topic, encoded(message)) for message in messages]
    until(lambda: len(scores(cloud, messages)) > 50)
    score.kill()
    for future in futures:
        future.result(PATIENCE)
    until(lambda: score.restarts > restarts)
    until_equal(lambda: len(scores(cloud, messages)), len(messages))
    publisher.stop()
