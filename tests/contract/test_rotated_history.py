"""A history under the next HMAC key, filled from rows that carry the ids under both, beside the former one.

On a cluster, ids under both keys have one lot, as keys with one shard key give them.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from shared.adapters.memory.operations import MemoryLostPlaces
from shared.adapters.memory.serving import MemoryBlobs
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.store import ValkeyStore
from shared.adapters.valkey.wire import Keeping
from shared.contract.event import Event
from shared.contract.pseudonyms import LOT_AT, LOT_MARK
from shared.contract.rows import NextIds, ScoreRow
from shared.contract.tables import NEXT, PIX_IDS
from shared.features.columns import Events
from shared.features.keys import keys_of, lot_of
from shared.features.places import Place
from shared.features.state import State
from shared.ports.history import Claim, History, Observations
from shared.replay.audit import audit
from shared.replay.repair import Repair
from shared.replay.snapshots import Snapshots
from shared.replay.tables import StoredTables
from tests.contract.history_stores import PATIENT, SERVERS, Store, store
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.query_results import QueryResults
from tests.contract.test_sharded_tables import World
from tests.contract.valkey_cluster import SHARDS, cluster
from tests.unit.sharded import ShardedBank, live
from tests.unit.streams import DEVICES, event, pseudonym

NEXT_KEY = "1111bbbb"
NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("rows")
    with local_bigquery(state, state) as running:
        yield running


def next_ids(of: Event) -> dict[str, str | None]:
    """Return the ids of a Pix under the next key: here those of now, backwards, with their lot."""
    return {name: next_id(getattr(of, name)) for name in PIX_IDS}


def next_id(id_: str | None) -> str | None:
    return f"{id_[::-1][:LOT_AT]}{LOT_MARK}{int(lot_of(keys_of([id_]))[0]):03x}" if id_ else None


def with_both(row: ScoreRow) -> ScoreRow:
    ids = {f"{NEXT}{name}": id_ for name, id_ in next_ids(row.event).items()}
    return msgspec.structs.replace(row, next_ids=NextIds(next_hmac_key=NEXT_KEY, **ids))


def probe(number: int) -> Event:
    more: dict[str, Any] = {"device_id": DEVICES[number % 3], "payee_person_id": pseudonym(f"person-{number % 3}")}
    return event(number % 5, (number * 3 + 1) % 5, 18_000 + number, **more)


def reads(running: Store, history: History, events: Sequence[Event]) -> NDArray[np.float32]:
    """Return what is read of Pix, each on its own: which of a batch a shard counts first depends on its ids."""
    claim = Claim(None, max(each.initiated_at for each in events))
    return np.concatenate([running.run(history.observe(Events([each]), claim)).reads for each in events])


def test_the_next_history_reads_like_the_former_one(local: LocalBigQuery, tmp_path: Path) -> None:
    with store(SERVERS[0], tmp_path) as running:
        running.fresh()
        assert running.server
        url, dataset, blobs, former_history = running.server.url, "rotated", MemoryBlobs(), running.client()
        bank = ShardedBank(former_history, random.Random(8))
        world = World(local, dataset, bank)
        running.run(live(bank))
        bank.rows = [with_both(row) for row in bank.rows]
        world.store()
        tables = StoredTables.each(QueryResults(local), PROJECT, dataset, 1, NEXT_KEY)
        following = ValkeyHistory.connect(url, 1.0, 30.0, Keeping(9_000, 900, 86_400), 1, NEXT_KEY)
        with (
            closing(ValkeyStore.connect(url, 86_400, 1, NEXT_KEY)) as load,
            closing(ValkeyStore.connect(url, 86_400)) as former,
        ):
            assert (load.is_empty(), former.is_empty()) == (True, False)
            lost = MemoryLostPlaces()
            repair = Repair(load, tables, Snapshots(blobs, blobs), lost, lambda: NOW, lambda: None, 3_600)
            rebuilt = repair.rebuild(lambda *_: None)
            assert rebuilt
            assert rebuilt.transactions >= len(bank.rows)

            probes = [probe(number) for number in range(12)]
            renamed = [msgspec.structs.replace(each, **next_ids(each)) for each in probes]
            expected, found = reads(running, former_history, probes), reads(running, following, renamed)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=0.01)
            assert np.nan_to_num(expected).any(axis=0).mean() > 0.3, "there is a past to be read"
            by_former_ids = reads(running, following, [probe(13)])
            assert not np.nan_to_num(by_former_ids).any(), "an id under the former key is nobody"
        running.run(following.close())


class Killed(Exception):
    """The end of a job in the middle of its work."""


def killed_while(step: str) -> Callable[[str, int], None]:
    """Return a receiver of progress that ends the job after a part of a step."""

    def advance(now: str, _: int) -> None:
        if now == step:
            raise Killed

    return advance


def test_a_cluster_keeps_each_record_on_its_shard(local: LocalBigQuery, tmp_path: Path) -> None:
    """The new history is filled by a job that is killed once; then it counts on, and a replay of all rows agrees."""
    keeping, dataset, blobs = Keeping(9_000, 900, 86_400), "rotated_cluster", MemoryBlobs()
    with (
        cluster(SERVERS[0], tmp_path, replicas=0) as nodes,
        asyncio.Runner() as runner,
        closing(ValkeyStore.connect(nodes.url, 86_400, SHARDS)) as former,
        closing(ValkeyStore.connect(nodes.url, 86_400, SHARDS, NEXT_KEY)) as load,
    ):
        former.open()
        before = ValkeyHistory.connect(nodes.url, 5.0, PATIENT, keeping, SHARDS)
        bank = ShardedBank(before, random.Random(8))
        world = World(local, dataset, bank)
        runner.run(live(bank))
        assert any(row.visited for row in bank.rows), "a Pix has records on several shards"
        bank.rows = [with_both(row) for row in bank.rows]
        world.store()

        tables = StoredTables.each(QueryResults(local), PROJECT, dataset, SHARDS, NEXT_KEY)
        lost = MemoryLostPlaces()
        repair = Repair(load, tables, Snapshots(blobs, blobs), lost, lambda: NOW, lambda: None, 3_600)
        with pytest.raises(Killed):
            repair.rebuild(killed_while("load"))
        assert [each.is_empty() for each in former.each()] == [False] * SHARDS, "the former history serves meanwhile"
        rebuilt = repair.rebuild(lambda *_: None)
        assert rebuilt
        assert repair.rebuild(lambda *_: None) is None

        after = ValkeyHistory.connect(nodes.url, 5.0, PATIENT, keeping, SHARDS, NEXT_KEY)
        probes = [probe(number) for number in range(12)]
        renamed = [msgspec.structs.replace(each, **next_ids(each)) for each in probes]
        claim = Claim(None, max(each.initiated_at for each in probes))
        seen = [
            [runner.run(history.observe(Events([each]), claim)) for each in events]
            for history, events in ((before, probes), (after, renamed))
        ]
        expected, found = (np.concatenate([each.reads for each in every]) for every in seen)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=0.01)
        assert np.nan_to_num(expected).any(axis=0).mean() > 0.3, "there is a past to be read"
        of_both = [[_shards_in(each) for each in every] for every in seen]
        assert of_both[0] == of_both[1], "each Pix counts on the shards of before"

        following = ShardedBank(after, random.Random(9))
        later = [msgspec.structs.replace(each, **next_ids(each)) for each in map(probe, range(20, 32))]
        runner.run(following.score([*renamed, *later], ["APPROVE"] * 24))
        bank.rows += following.rows
        world.store()
        audited = audit(tables, None, State.empty(), lambda *_: None)
        assert (audited["outcome"], audited["compared"]) == ("EQUAL", len(bank.rows)), audited
        places = [Place.of(int(each)) for row in bank.rows for each in (row.history_sequence or 0, *row.visited)]
        assert len(places) == len(set(places)), "no place is given twice"
        assert load.forget_other_keys() > 0
        assert (former.is_empty(), load.is_empty()) == (True, False)
        for history in (before, after):
            runner.run(history.close())


def _shards_in(seen: Observations) -> set[int]:
    return {Place.of(int(place)).shard for place in (seen.sequence[0], *seen.visited[0])}


@pytest.mark.parametrize("shards", [1, 3])
def test_histories_under_two_keys_share_a_store_and_nothing_else(tmp_path: Path, shards: int) -> None:
    with store(SERVERS[0], tmp_path, shards) as running:
        running.fresh()
        assert running.server
        url = running.server.url
        following = ValkeyHistory.connect(url, 1.0, 30.0, Keeping(9_000, 900, 86_400), shards, NEXT_KEY)
        with (
            closing(ValkeyStore.connect(url, 86_400, shards, NEXT_KEY)) as load,
            closing(ValkeyStore.connect(url, 86_400, shards)) as former,
        ):
            assert (load.is_empty(), former.is_empty()) == (True, False)
            load.open()
            one, other = probe(0), probe(15)
            assert np.nan_to_num(reads(running, running.client(), [one, other])).any()
            assert not np.nan_to_num(reads(running, following, [other])).any(), "the same account, without a past"
            running.run(running.redis.set("pix:another", "stays"))
            assert load.forget_other_keys() > 0
            assert (load.is_empty(), former.is_empty()) == (False, True)
            assert np.nan_to_num(reads(running, following, [one])).any()
            assert load.forget_other_keys() == 0
            assert running.run(running.redis.get("pix:another")) == b"stays"
        running.run(following.close())
