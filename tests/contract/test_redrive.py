"""Dead letters are published again as they were, each once in a run, on both Pub/Subs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs import redrive
from jobs.cli import wiring
from shared.adapters.pubsub import DEAD, PubsubDeadLetters
from shared.contract.topics import TRANSACTIONS
from shared.settings import Settings
from tests.contract.pubsub_world import PROJECT, World
from tests.contract.test_pubsub import world as world  # the servers

ADDED = {"CloudPubSubDeadLetterSourceDeliveryCount": "20", "CloudPubSubDeadLetterSourceSubscription": "score"}


class Bench:
    """A topic with dead letters, and the job over them."""

    def __init__(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self._world = world
        self._capsys = capsys
        self.topic = world.topic()
        self.name = self.topic.rpartition("/")[2]
        self._dead = f"{self.topic}{DEAD}"
        world.publisher.create_topic(name=self._dead)
        subscriptions = f"projects/{PROJECT}/subscriptions"
        world.subscriber.create_subscription(name=f"{subscriptions}/{self.name}{DEAD}", topic=self._dead)
        self.arrives = world.subscription(self.topic)

    def dies(self, data: bytes, **attributes: str) -> None:
        self._world.publish(self._dead, data, **ADDED, **attributes)

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        code = redrive.main(["transactions", *arguments])
        return code, json.loads(self._capsys.readouterr().out.splitlines()[-1])

    def arrived(self, count: int) -> list[tuple[bytes, dict[str, str]]]:
        found = self._world.pull(self.arrives, count)
        self._world.acknowledge(self.arrives, *found)
        return sorted((each.message.data, dict(each.message.attributes)) for each in found)


@pytest.fixture
def bench(world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(world, capsys)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    monkeypatch.setattr(redrive, "QUIET_SECONDS", 1.5)
    monkeypatch.setitem(redrive.TOPICS, "transactions", bench.name)
    return bench


def test_letters_come_back_with_their_bytes_and_attributes_and_then_are_gone(bench: Bench) -> None:
    for number in range(30):
        bench.dies(b"\x00\xff%d" % number, source="psp")
    assert bench.run("--dry-run")[1]["redriven"] == 30
    code, result = bench.run("--max", "20")
    assert (code, result["outcome"], result["redriven"]) == (0, "DONE", 20)
    assert bench.run()[1]["redriven"] == 10
    letters = bench.arrived(30)
    assert [data for data, _ in letters] == sorted(b"\x00\xff%d" % number for number in range(30))
    assert all(attributes == {"source": "psp", "redriven": "1"} for _, attributes in letters)
    assert bench.run() == (0, {**result, "redriven": 0})


def test_what_dies_meanwhile_or_died_too_often_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.dies(b"hopeless", redriven="3")
    bench.dies(b"again", redriven="2")
    publish = PubsubDeadLetters.redrive

    def and_dies_again(letters: PubsubDeadLetters, batch: Any) -> Any:
        bench.dies(b"again", redriven="3")
        return publish(letters, batch)

    monkeypatch.setattr(PubsubDeadLetters, "redrive", and_dies_again)
    result = bench.run()[1]
    assert (result["redriven"], result["came_later"], result["died_too_often"]) == (1, 1, 1)
    assert bench.arrived(1) == [(b"again", {"redriven": "3"})]
    assert bench.run("--dry-run")[1]["died_too_often"] == 2


def test_an_interruption_keeps_what_was_not_redriven(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.dies(b"one")

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PubsubDeadLetters, "redrive", interrupted)
        code, result = bench.run()
    assert (code, result["outcome"], result["redriven"]) == (130, "INTERRUPTED", 0)
    assert bench.run("--max", "1")[1]["redriven"] == 1


def test_a_subscription_that_is_not_there_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(redrive.TOPICS, "transactions", "no-such-topic")
    code, result = bench.run()
    assert code == 1
    assert "no-such-topic-dead" in result["reasons"][0]


def test_the_topics_are_those_of_the_contract() -> None:
    letters = wiring.dead_letters(Settings("p"), TRANSACTIONS)
    letters.close()
    assert set(redrive.TOPICS.values()) == {"pix-transactions", "pix-feedback"}
