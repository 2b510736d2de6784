"""A stream of Spark stores the rows of a worker that pulls, whatever is killed in between."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from redis import Redis

from infra.deploy.migrate import make
from infra.local.cloud import ROOT, LocalCloud
from infra.local.processes import ChildProcess
from shared.contract import tables
from shared.contract.topics import DEAD, TRANSACTIONS
from tests.builders import encoded, transaction
from tests.functions.test_outage import frozen
from tests.functions.world import ask
from tests.waiting import PATIENCE, until, until_equal

pytestmark = pytest.mark.skipif(
    find_spec("pyspark") is None or shutil.which("java") is None,
    reason="pyspark (`make spark`) and Java 17 are needed",
)

SLOW = 2 * PATIENCE
"""Seconds until a stream works, which has started a JVM and six Pythons by then."""
PULLED = "pulled"
"""The dataset and the subscription of the worker beside the stream."""
MALFORMED = (b"{", b"[]", b"\xff", encoded({"end_to_end_id": "E1"}), encoded(transaction(amount="1,00")))
OF_ITS_TIME = "EXCEPT (scored_at, published_at, late, history_sequence, decided_sequence)"
"""What differs between two deliveries of the same message to the same code."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    home: Path = tmp_path_factory.mktemp("stream")
    with LocalCloud(home, pubsub="embedded", state_call_seconds=30.0, append_timeout_seconds=30.0) as running:
        project = running.settings.project
        make(running.bigquery(), PULLED, tables.tables(), tables.views(project, PULLED, 1.0))
        for name in ("score", PULLED):
            subscribe(project, name)
        yield running


def subscribe(project: str, name: str) -> None:
    """Create a pull subscription whose leases are short, as some end with a kill only."""
    with SubscriberClient() as subscriber:
        subscriber.create_subscription(
            request={
                "name": subscriber.subscription_path(project, name),
                "topic": f"projects/{project}/topics/{TRANSACTIONS}",
                "ack_deadline_seconds": 10,
                "retry_policy": {"minimum_backoff": {"nanos": 100_000_000}, "maximum_backoff": {"seconds": 1}},
                "dead_letter_policy": {
                    "dead_letter_topic": f"projects/{project}/topics/{TRANSACTIONS}{DEAD}",
                    "max_delivery_attempts": 100,
                },
            }
        )


def publish(cloud: LocalCloud, messages: Sequence[bytes]) -> None:
    publisher = PublisherClient()
    path = publisher.topic_path(cloud.settings.project, TRANSACTIONS)
    sent = [publisher.publish(path, each) for each in messages]
    assert all(future.result(PATIENCE) for future in sent)
    publisher.stop()
    publisher.transport.close()


def started(cloud: LocalCloud, name: str, command: list[str], variables: Mapping[str, str]) -> ChildProcess:
    child = ChildProcess(
        name,
        [sys.executable, "-m", *command],
        log_path=cloud.home / f"{name}.log",
        ready=lambda _: {},
        env={**cloud.environment, **variables, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        restart=True,
    )
    cloud.start(child)
    return child


def rows(cloud: LocalCloud, sql: str) -> list[dict[str, Any]]:
    return [dict(row) for row in ask(cloud, sql)]


def stored(cloud: LocalCloud, dataset: str) -> tuple[int, int]:
    """Return the numbers of Pix with a row, and of messages in quarantine."""
    sql = "SELECT (SELECT COUNT(*) FROM {0}.scores) n, (SELECT COUNT(DISTINCT message_id) FROM {0}.quarantine) q"
    (found,) = ask(cloud, sql.format(dataset))
    return found.n, found.q


def test_a_stream_that_is_killed_in_mid_batch_stores_the_rows_of_the_pull_worker(cloud: LocalCloud) -> None:
    pix = [
        transaction(payer__account=f"66{i}", payee__account=f"55{i}", device__id=f"device-{i}", amount=f"{i}.00")
        for i in range(1, 81)
    ]
    valid = [encoded(each) for each in pix]
    messages = [*valid[:40], *MALFORMED, *valid[:20], *valid[40:], *valid[:20]]
    worker = ["functions.score.pull", "--subscription", PULLED]
    started(cloud, PULLED, worker, {"PIX_DATASET": PULLED, "PIX_STATE": "memory://"})
    checkpoint = cloud.home / "checkpoint"
    command = ["jobs.stream", "score", "--checkpoint", str(checkpoint), "--master", "local[1]"]
    stream = started(cloud, "stream", [*command, "--messages", "40", "--seconds", "2"], {"PIX_BATCH_MAX": "16"})
    until((checkpoint / "offsets" / "0").exists, SLOW)
    with frozen(cloud), Redis.from_url(cloud.settings.state) as history:
        before = history.dbsize()
        publish(cloud, messages)
        until(lambda: history.dbsize() > before, SLOW)  # Pix are claimed, and none has a row
        stream.kill()
        until_equal(lambda: stream.restarts, 1)
    for dataset in (PULLED, "pix"):
        until_equal(lambda dataset=dataset: stored(cloud, dataset), (len(pix), len(MALFORMED)), SLOW)  # type: ignore[misc]  # mypy cannot infer the type of a lambda's default
    scores = f"SELECT * {OF_ITS_TIME} FROM {{}}.scores ORDER BY end_to_end_id"
    assert rows(cloud, scores.format("pix")) == rows(cloud, scores.format(PULLED))
    refused = "SELECT DISTINCT message_id, topic, reason, field, payload_hash FROM {}.quarantine ORDER BY message_id"
    assert rows(cloud, refused.format("pix")) == rows(cloud, refused.format(PULLED))
    twice = "SELECT end_to_end_id FROM pix.score_events GROUP BY 1 HAVING COUNT(DISTINCT scored_at) > 1"
    assert rows(cloud, twice) == []
