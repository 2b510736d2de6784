"""Overload: excess deliveries are refused at once, and no accepted one is lost."""

from __future__ import annotations

import concurrent.futures
import os
import signal
from collections import Counter

from infra.local.cloud import LocalCloud
from tests.builders import encoded, push_body, transaction
from tests.collector import Collector
from tests.functions.instance import Start
from tests.functions.test_score import scores
from tests.functions.world import deliver
from tests.waiting import until

AT_ONCE = 120


def test_excess_load_is_refused_and_its_redelivery_succeeds(
    cloud: LocalCloud, started: Start, collector: Collector
) -> None:
    instance = started(PIX_BATCH_MAX="4", PIX_BATCHES_IN_FLIGHT="2", PIX_QUEUE_MAX="20")
    messages = [transaction() for _ in range(AT_ONCE)]
    bodies = [push_body(encoded(message)) for message in messages]
    group = cloud.bigquery_server.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as sender:
            sent = sender.submit(deliver, instance.address, bodies, AT_ONCE)
            until(lambda: instance.logged("overloaded"))
            os.killpg(group, signal.SIGCONT)
            statuses = sent.result()
    finally:
        os.killpg(group, signal.SIGCONT)
    count = Counter(statuses)
    assert set(count) == {204, 429}
    assert 20 <= count[204] < AT_ONCE
    taken = [message for message, status in zip(messages, statuses, strict=True) if status == 204]
    refused = [message for message, status in zip(messages, statuses, strict=True) if status == 429]
    assert (len(scores(cloud, taken)), len(scores(cloud, refused))) == (len(taken), 0)
    assert set(deliver(instance.address, [push_body(encoded(message)) for message in refused], 8)) == {204}
    assert len(scores(cloud, messages)) == AT_ONCE
    assert instance.log.read_text().count('"message":"overloaded"') == 1
    assert instance.terminate()[0] == 0
    assert collector.numbers("pix.messages") == {"overloaded": count[429], "stored": AT_ONCE}
