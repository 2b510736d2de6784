"""The process of a worker: its status, its options and its errors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.deploy.stage import ASKED, FUNCTIONS, stage
from infra.local.cloud import ROOT, LocalCloud
from infra.local.provision import create_subscription
from shared.contract.topics import TRANSACTIONS
from tests.builders import encoded, transaction
from tests.contract.kafka_cluster import Cluster
from tests.functions.test_score import scores
from tests.functions.world import ask
from tests.waiting import PATIENCE, until, until_equal


def command(function: str, *options: str) -> list[str]:
    return [sys.executable, "-m", f"functions.{function}.pull", *options]


@pytest.mark.parametrize("function", sorted({*FUNCTIONS} - {*ASKED}))
def test_help_names_the_topic(function: str) -> None:
    done = subprocess.run(command(function, "--help"), capture_output=True, text=True, cwd=ROOT, check=True)
    assert "pix-" in done.stdout


@contextmanager
def working(cloud: LocalCloud, log: Path, *options: str) -> Iterator[None]:
    """Run a worker of score until the end of the block; it ends with status 0."""
    with log.open("wb") as file:
        worker = subprocess.Popen(
            command("score", *options), env={**os.environ, **cloud.environment}, cwd=ROOT, stdout=file, stderr=file
        )
    try:
        until(lambda: '"message":"pulling"' in log.read_text() or worker.poll() is not None)
        yield
        worker.terminate()
        assert worker.wait(PATIENCE) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()
    assert '"message":"drained"' in log.read_text()


def test_a_worker_ends_with_status_0_at_sigterm(cloud: LocalCloud, tmp_path: Path) -> None:
    create_subscription(cloud.settings.project, "by-hand", TRANSACTIONS, "", cloud.pubsub_kind)
    with working(cloud, tmp_path / "log", "--subscription", "by-hand"):
        pass


def test_a_worker_scores_the_pix_of_a_topic_of_kafka(cloud: LocalCloud, tmp_path: Path) -> None:
    cluster, messages = Cluster(), [transaction() for _ in range(20)]
    cluster.publish(TRANSACTIONS, *map(encoded, messages[:10]), partition=0)
    cluster.publish(TRANSACTIONS, *map(encoded, messages[10:]), b"{", partition=1)
    properties = tmp_path / "kafka.properties"
    properties.write_text("# a mock\n" + "\n".join(f"{name} = {value}" for name, value in cluster.properties.items()))
    quarantined = f"SELECT reason FROM pix.quarantine WHERE message_id = '{TRANSACTIONS}/1/10'"
    with working(cloud, tmp_path / "log", "--kafka", str(properties)):
        until_equal(lambda: len(scores(cloud, messages)), len(messages))
        assert [row.reason for row in until(lambda: ask(cloud, quarantined))] == ["not_json"]


def test_a_missing_subscription_ends_a_worker_with_its_name(cloud: LocalCloud) -> None:
    environment = {**os.environ, **cloud.environment}
    done = subprocess.run(
        command("outcome", "--subscription", "missing"),
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("outcome: projects/pix-local/subscriptions/missing")


def test_a_worker_that_pulls_from_kafka_has_its_client_staged(tmp_path: Path) -> None:
    locked = (stage("score", tmp_path / "source", kafka=True) / "requirements.txt").read_text("utf-8")
    assert "\nconfluent-kafka==" in locked
    assert "\nmsgspec==" in locked
