"""Dead letters are published again as they were, each once in a run, on both Pub/Subs."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import closing

import pytest

from jobs import redrive
from jobs.cli import wiring
from shared.adapters.pubsub.dead_letters import PubsubDeadLetters
from shared.contract.topics import DEAD, TRANSACTIONS
from shared.operations.redrive import Redrive, Redriven
from shared.settings import Settings
from tests.contract.pubsub_world import PROJECT, World, world

__all__ = ["world"]

ADDED = {"CloudPubSubDeadLetterSourceDeliveryCount": "20", "CloudPubSubDeadLetterSourceSubscription": "score"}


class Bench:
    """A topic with dead letters, and redrives of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.topic = world.topic()
        self.name = self.topic.rpartition("/")[2]
        self._dead = f"{self.topic}{DEAD}"
        world.publisher.create_topic(name=self._dead)
        subscriptions = f"projects/{PROJECT}/subscriptions"
        world.subscriber.create_subscription(name=f"{subscriptions}/{self.name}{DEAD}", topic=self._dead)
        self.arrives = world.subscription(self.topic)

    def dies(self, data: bytes, **attributes: str) -> None:
        self._world.publish(self._dead, data, **ADDED, **attributes)

    def run(self, most: int | None = None, dry_run: bool = False) -> Redriven:
        result = Redriven(self.name, dry_run)
        with closing(PubsubDeadLetters.connect(PROJECT, self.name)) as letters:
            Redrive(letters, result, dt.datetime.now(dt.UTC), 3, quiet_seconds=1.5).run(most, lambda _: None)
        return result

    def arrived(self, count: int) -> list[tuple[bytes, dict[str, str]]]:
        found = self._world.pull(self.arrives, count)
        self._world.acknowledge(self.arrives, *found)
        return sorted((each.message.data, dict(each.message.attributes)) for each in found)


@pytest.fixture
def bench(world: World) -> Bench:
    return Bench(world)


def test_letters_are_republished_with_bytes_and_attributes_and_removed(bench: Bench) -> None:
    for number in range(30):
        bench.dies(b"\x00\xff%d" % number, source="psp")
    assert bench.run(dry_run=True).redriven == 30
    assert bench.run(20).redriven == 20
    assert bench.run().redriven == 10
    letters = bench.arrived(30)
    assert [data for data, _ in letters] == sorted(b"\x00\xff%d" % number for number in range(30))
    assert all(attributes == {"source": "psp", "redriven": "1"} for _, attributes in letters)
    assert bench.run().redriven == 0


def test_a_letter_redriven_too_often_stays(bench: Bench) -> None:
    bench.dies(b"hopeless", redriven="3")
    bench.dies(b"again", redriven="2")
    result = bench.run()
    assert (result.redriven, result.died_too_often) == (1, 1)
    assert bench.arrived(1) == [(b"again", {"redriven": "3"})]
    assert bench.run(dry_run=True).died_too_often == 1


def test_the_job_prints_its_result(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    monkeypatch.setitem(redrive.TOPICS, "transactions", bench.name)
    bench.dies(b"one")
    code = redrive.main(["transactions", "--max", "1"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (code, result["outcome"], result["redriven"]) == (0, "DONE", 1)


def test_a_missing_subscription_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del world  # only its servers are needed
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    monkeypatch.setitem(redrive.TOPICS, "transactions", "no-such-topic")
    assert redrive.main(["transactions"]) == 1
    assert "no-such-topic-dead" in json.loads(capsys.readouterr().out.splitlines()[-1])["reasons"][0]


def test_the_topics_are_those_of_the_contract(world: World) -> None:
    del world  # only its servers are needed
    letters = wiring.dead_letters(Settings("p"), TRANSACTIONS)
    letters.close()
    assert redrive.TOPICS == {
        "transactions": "pix-transactions",
        "outcomes": "pix-outcomes",
        "feedback": "pix-feedback",
    }
