"""BigQuery does not answer: nothing is acknowledged, and the redelivery writes the row that was decided first."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from infra.local.cloud import LocalCloud
from tests.builders import encoded, med_report, push_body, transaction
from tests.functions.instance import Start
from tests.functions.test_score import scores
from tests.functions.world import deliver, url
from tests.waiting import until

IMPATIENT = {"PIX_APPEND_TIMEOUT_SECONDS": "5.0"}
"""Long enough for an append on a busy machine, as its redelivery has to get through."""


@contextmanager
def frozen(cloud: LocalCloud) -> Iterator[None]:
    """Freeze BigQuery until the end."""
    group = cloud.bigquery_server.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def test_an_outage_is_answered_with_503_and_the_redelivery_counts_once(cloud: LocalCloud, started: Start) -> None:
    score = started("score", **IMPATIENT).address
    messages = [transaction(payer__account=f"99{i}", payee__account="9900") for i in range(40)]
    bodies = [push_body(encoded(message)) for message in messages]
    with frozen(cloud):
        assert set(deliver(score, bodies)) == {503}
    until(lambda: set(deliver(score, bodies)) == {204})
    rows = scores(cloud, messages)
    assert len(rows) == len(messages)
    again = [transaction(payer__account=f"99{i}", payee__account="9900") for i in range(40)]
    deliver(score, [push_body(encoded(message)) for message in again])
    assert {round(row.features["payer_sent_count_7d"]) for row in scores(cloud, again)} == {1}


def test_a_report_is_not_acknowledged_either(cloud: LocalCloud, started: Start) -> None:
    label = started("label", **IMPATIENT).address
    message = transaction()
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    body = push_body(encoded(med_report(message["end_to_end_id"])))
    with frozen(cloud):
        assert deliver(label, [body]) == [503]
    until(lambda: deliver(label, [body]) == [204])
