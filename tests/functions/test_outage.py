"""BigQuery does not answer: nothing is acknowledged, and the redelivery writes the row that was decided first."""

import os
import signal

import pytest

from tests.builders import encoded, med_report, push_body, transaction
from tests.functions.test_score import scores
from tests.functions.world import deliver, until, url


@pytest.fixture
def frozen(cloud):
    group = cloud.bigquery_server.pid
    os.killpg(group, signal.SIGSTOP)
    yield lambda: os.killpg(group, signal.SIGCONT)
    os.killpg(group, signal.SIGCONT)


def test_an_outage_is_answered_with_503_and_the_redelivery_counts_once(cloud, frozen):
    messages = [transaction(payer__account=f"99{i}") for i in range(40)]
    bodies = [push_body(encoded(message)) for message in messages]
    assert set(deliver(url(cloud, "score"), bodies)) == {503}
    frozen()
    until(lambda: set(deliver(url(cloud, "score"), bodies)) == {204})
    rows = scores(cloud, messages)
    assert len(rows) == len(messages)
    again = [transaction(payer__account=f"99{i}") for i in range(40)]
    deliver(url(cloud, "score"), [push_body(encoded(message)) for message in again])
    assert {round(row.features["payer_sent_count_7d"]) for row in scores(cloud, again)} == {1}


def test_a_report_is_not_acknowledged_either(cloud, frozen):
    body = push_body(encoded(med_report(transaction()["end_to_end_id"])))
    assert deliver(url(cloud, "label"), [body]) == [503]
    frozen()
    until(lambda: deliver(url(cloud, "label"), [body]) == [204])
