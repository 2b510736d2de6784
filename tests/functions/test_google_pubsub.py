"""The local cloud on Google's own Pub/Sub emulator, where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.cloud.pubsub_v1 import PublisherClient

from infra.local.cloud import LocalCloud
from infra.local.pubsub.google import find_emulator
from shared.contract.topics import TRANSACTIONS
from tests.builders import encoded, transaction
from tests.functions.world import ask
from tests.waiting import PATIENCE, until_equal

pytestmark = pytest.mark.skipif(find_emulator() is None, reason="Google's Pub/Sub emulator is not installed")


def test_a_function_killed_repeatedly_loses_nothing(tmp_path: Path) -> None:
    messages = [transaction() for _ in range(300)]
    with LocalCloud(tmp_path, pubsub="google") as cloud:
        cloud.start_functions()
        score = cloud.functions["score"]
        publisher = PublisherClient()
        topic = publisher.topic_path(cloud.settings.project, TRANSACTIONS)
        sent = [publisher.publish(topic, encoded(message)) for message in messages]
        assert all(future.result(PATIENCE) for future in sent)
        publisher.stop()
        publisher.transport.close()
        for restarts in range(1, 6):
            score.kill()
            until_equal(lambda: score.restarts, restarts)
        until_equal(lambda: ask(cloud, "SELECT COUNT(*) AS n FROM pix.scores")[0].n, len(messages))
