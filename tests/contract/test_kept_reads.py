"""The home of a Pix keeps what its ask has read on other shards, before anything rests on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import NamedTuple

import pytest

from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.store import ValkeyStore
from shared.contract.event import Event
from shared.features.columns import Columns, Events
from shared.features.facts import asks
from shared.features.life import RECOUNTED, life_of
from shared.features.outcomes import Outcome, advance
from shared.features.shards import home_of, shards_of
from shared.ports.history import CONFLICT, LIFE_KEY, Changed
from shared.scoring.conclusions import changes_of
from tests.contract.history_stores import SERVERS, Store, store
from tests.contract.test_shards import CLAIM, SHARDS
from tests.unit.streams import event, pseudonym


class Asked(NamedTuple):
    """A Pix, a shard that is not its home and has a record of it, and that shard as it was before the ask."""

    pix: Event
    shard: int
    copy: dict[bytes, bytes]

    @property
    def key(self) -> str:
        """Return the key of its life."""
        return LIFE_KEY + self.pix.end_to_end_id

    def lose(self, served: Store) -> None:
        """Let the shard lose the ask, and count the next Pix of the same accounts."""
        served.fall_back(self.shard, self.copy)
        served.run(served.client().observe(Events([pix_of(9)]), CLAIM))


def pix_of(number: int) -> Event:
    return event(pseudonym("payer"), pseudonym("payee"), number, 5_000)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(SERVERS[0], tmp_path_factory.mktemp("store"), SHARDS) as running:
        yield running


@pytest.fixture(autouse=True)
def _untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a client tell its notes when a test says so, and not because it is idle."""
    monkeypatch.setattr("shared.adapters.valkey.notes.IDLE_SECONDS", 1e6)


@pytest.fixture
def asked(served: Store) -> Asked:
    """Return a Pix that was asked for by a process that has ended since, before its home knew the reads."""
    served.fresh()
    for number in count():
        pix = pix_of(number)
        of = set(shards_of(asks(Columns.of([pix])), SHARDS).ravel().tolist())
        if away := of - {-1, int(home_of([pix.end_to_end_id], SHARDS)[0])}:
            break
    served.run(served.client().observe(Events([pix_of(number + 1)]), CLAIM))
    found = Asked(pix, min(away), served.copied(min(away)))
    served.run(served.client().observe(Events([pix]), CLAIM))
    return found


def lives(served: Store, history: ValkeyHistory, key: str) -> bytes:
    (value,) = served.run(history.find([key]))
    assert value
    return value


def settled(served: Store, history: ValkeyHistory, pix: Event, value: bytes) -> Changed:
    """Let a client settle a Pix by the life that it has found."""
    life = life_of(value)
    after = advance(life, [Outcome("SETTLED", pix.initiated_at)])
    return served.run(history.change(changes_of([pix.end_to_end_id], life, after)))


def test_the_reads_that_the_home_was_told_first_stand(served: Store, asked: Asked) -> None:
    late, other = served.client(), served.client()
    before = life_of(lives(served, late, asked.key))
    asked.lose(served)
    after = life_of(lives(served, other, asked.key))
    assert before["reads"].tobytes() != after["reads"].tobytes(), "the shard has counted another Pix meanwhile"
    served.run(other.settle())
    served.run(late.settle())
    assert life_of(lives(served, served.client(), asked.key)).tobytes() == after.tobytes()


def test_a_change_that_rests_on_other_reads_than_the_home_keeps_is_not_made(served: Store, asked: Asked) -> None:
    late, other = served.client(), served.client()
    found = lives(served, late, asked.key)
    asked.lose(served)
    kept = lives(served, other, asked.key)
    served.run(other.settle())
    assert settled(served, late, asked.pix, found).places.tolist() == [CONFLICT]
    assert settled(served, late, asked.pix, kept).places[0] > 0


def test_a_change_tells_the_home_what_it_rests_on(served: Store, asked: Asked) -> None:
    """The process ends after the change; what it read is lost elsewhere, and not read again."""
    found = lives(served, history := served.client(), asked.key)
    assert settled(served, history, asked.pix, found).places[0] > 0
    asked.lose(served)
    assert life_of(lives(served, served.client(), asked.key))["reads"].tobytes() == life_of(found)["reads"].tobytes()


def test_reads_are_kept_when_a_decision_may_be_stored(served: Store, asked: Asked) -> None:
    found = lives(served, history := served.client(), asked.key)
    served.run(history.keep_reads())
    asked.lose(served)
    assert life_of(lives(served, served.client(), asked.key)).tobytes() == life_of(found).tobytes()


def test_a_change_leaves_a_life_that_was_counted_again_as_such(served: Store, asked: Asked) -> None:
    late, other = served.client(), served.client()
    found = lives(served, late, asked.key)
    served.run(late.settle())
    asked.lose(served)
    assert served.server
    with closing(ValkeyStore.connect(served.server.url, 86_400, SHARDS)) as load:
        other.know_lost({each.part: each.kept for each in load.epochs()})
    lives(served, other, asked.key)
    served.run(other.settle())
    assert settled(served, late, asked.pix, found).places[0] > 0
    assert life_of(lives(served, served.client(), asked.key))["flags"][0] & RECOUNTED
