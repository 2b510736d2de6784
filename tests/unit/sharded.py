"""History on several shards in memory, whose steps of different callers mix, and the rows of what was counted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from shared.adapters.memory.serving import MemoryLookup
from shared.adapters.valkey.history import ValkeyHistory
from shared.contract.event import Event
from shared.contract.rows import OutcomeRow, ScoreRow
from shared.features.columns import Events
from shared.features.facts import Facts, asks
from shared.features.history import MemoryHistory
from shared.features.life import LIFE, READS_AT, asked
from shared.features.places import Place
from shared.features.shards import NOWHERE, Shard, home_of, shards_of
from shared.features.state import State
from shared.features.vector import feature_matrix
from shared.ports.decisions import Parties
from shared.ports.history import CONFLICT, LIFE_KEY, UNPLACED, Changed, Changes, Claim, Observations
from shared.replay.audit import Audit, Together
from shared.replay.changes import ChangeQueue
from shared.replay.joining import in_step
from shared.replay.reported import Reported
from shared.replay.reports import ReportQueue
from shared.scoring.conclusions import Conclusions
from shared.serving.outcome_service import CountedOutcomes
from shared.serving.verdict_history import VerdictHistory
from tests.unit.replay.rows import score_row
from tests.unit.replay.test_audit import RETURNS, STATUSES, VERDICTS
from tests.unit.report_states import med
from tests.unit.report_states import row as report_row
from tests.unit.served import NEVER_FORGOTTEN, Told, changes_table, outcome_row, placed_table
from tests.unit.streams import DEVICES, event, pseudonym

EPOCH = 7


class _Entry:
    """A change at home, with the facts that other shards have to count, and the places of those that have."""

    def __init__(self, facts: Facts, home: int, shards: int, is_ask: bool) -> None:
        self.facts, self.is_ask = facts, is_ask
        of = shards_of(facts, shards)
        self.away = [shard for shard in np.unique(of[of != NOWHERE]).tolist() if shard != home]
        self.made: dict[int, int] = {}


class ShardedMemory:
    """History as the store divides it: a change counts at home, and then, after others, on each other shard."""

    def __init__(self, shards: int, chance: random.Random) -> None:
        self.shards, self._chance = shards, chance
        self.records = MemoryHistory()
        self._numbers = [0] * shards
        self._values: dict[str, bytes] = {}
        self._entries: dict[str, dict[int, _Entry]] = {}

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count the ask."""
        for i in range(len(events)):
            await self._pause()
            key, columns = LIFE_KEY + events[i].end_to_end_id, events.columns[np.array([i])]
            if key not in self._values:
                life, facts, home = asked(columns, claim.scored_at), asks(columns), self._home(key)
                life["reads"] = self.records.ask(Shard(home, self.shards).masked(facts))
                life["place"] = place = self._next(home)
                self._values[key] = life.tobytes()
                self._entries[key] = {place: _Entry(facts, home, self.shards, is_ask=True)}
        values = await self.find([LIFE_KEY + each.end_to_end_id for each in events])
        lives = np.frombuffer(b"".join(each or b"" for each in values), dtype=LIFE)
        places = lives["place"].tolist()
        visited = await self.visited(
            [(LIFE_KEY + each.end_to_end_id, at) for each, at in zip(events, places, strict=True)]
        )
        count, nobody = len(events), np.zeros(len(events), dtype=bool)
        reads = np.ascontiguousarray(lives["reads"])
        return Observations(
            reads, lives["place"], [claim] * count, nobody, lives, [1] * count, [None] * count, visited
        )

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return stored values, whose changes all other shards have counted."""
        found = [self._values.get(key) for key in keys]
        for key in keys:
            for entry in list(self._entries.get(key, {}).values()):
                await self._complete(key, entry)
        return [self._with_reads(key, value) for key, value in zip(keys, found, strict=True)]

    async def change(self, changes: Changes) -> Changed:
        """Make changes at home; then have the other shards count them."""
        places, entries = [], list[tuple[str, _Entry] | None]()
        await self._pause()
        for i, (key, expected) in enumerate(zip(changes.keys, changes.expected, strict=True)):
            facts, stored, place = changes.facts[changes.of == i], self._values.get(key), UNPLACED
            entries.append(None)
            if (int.from_bytes(stored[:4], "little") if stored else 0) != expected:
                places.append(CONFLICT)
                continue
            value, home, at = changes.values[i], self._home(key), changes.place_at[i]
            if len(facts):
                place = self._next(home)
                self.records.count(Shard(home, self.shards).masked(facts))
                entry = _Entry(facts, home, self.shards, is_ask=False)
                self._entries.setdefault(key, {})[place] = entry
                entries[i] = key, entry
            if at >= 0:
                value = value[:at] + place.to_bytes(8, "little", signed=True) + value[at + 8 :]
            self._values[key] = value[:READS_AT] + stored[READS_AT:] if stored and key[0] == LIFE_KEY else value
            places.append(place)
        for each in entries:
            if each:
                await self._complete(*each)
        visited = [_made(each[1]) if each else () for each in entries]
        return Changed(np.array(places, dtype=np.int64), visited)

    async def prolong(self, end_to_end_ids: Sequence[str]) -> None:
        """Do nothing: lives are kept for ever."""

    async def keep_reads(self) -> None:
        """Do nothing: they are kept at once."""

    async def visited(self, changes: Sequence[tuple[str, int]]) -> list[tuple[int, ...]]:
        """Return the places of changes on other shards."""
        found = [self._entries.get(key, {}).get(place) for key, place in changes]
        return [_made(each) if each else () for each in found]

    async def _complete(self, key: str, entry: _Entry) -> None:
        for number in entry.away:
            await self._pause()
            if number in entry.made:
                continue
            entry.made[number] = self._next(number)
            own = Shard(number, self.shards).masked(entry.facts)
            if entry.is_ask:
                reads = self.records.ask(own)
                life = np.frombuffer(self._values[key], dtype=LIFE).copy()
                life["reads"] = np.where(np.isnan(reads), life["reads"], reads)
                self._values[key] = life.tobytes()
            else:
                self.records.count(own)

    def _with_reads(self, key: str, value: bytes | None) -> bytes | None:
        """Return a value of before with the reads that its life has now."""
        if value is None or key[0] != LIFE_KEY:
            return value
        return value[:READS_AT] + self._values[key][READS_AT:]

    def _home(self, key: str) -> int:
        return int(home_of([key[1:]], self.shards)[0])

    def _next(self, shard: int) -> int:
        self._numbers[shard] += 1
        return int(Place(EPOCH, self._numbers[shard], shard))

    async def _pause(self) -> None:
        """Let others go first, sometimes."""
        for _ in range(self._chance.choice([0, 0, 0, 1, 1, 2, 5])):
            await asyncio.sleep(0)


class ShardedBank:
    """Score Pix, tell outcomes and report, several at a time, and keep the rows."""

    def __init__(
        self, history: ShardedMemory | ValkeyHistory, chance: random.Random, setting: str = "assumed"
    ) -> None:
        self.history, self.shards, self.chance = history, history.shards, chance
        self.lookup = MemoryLookup()
        self.rows: list[ScoreRow] = []
        self.outcomes: list[OutcomeRow] = []
        self.reports: list[Reported] = []
        self._now = 0
        self._conclusions = Conclusions(self.history, setting)
        self._counted = CountedOutcomes(self.history, NEVER_FORGOTTEN, lambda: 0)

    async def score(self, events: Sequence[Event], decisions: Sequence[str]) -> None:
        """Score a batch, with decisions that are given."""
        batch, claim = Events(events), Claim(None, self._time(max(each.initiated_at for each in events)))
        seen = await self.history.observe(batch, claim)
        vectors = feature_matrix(batch.columns, seen.reads)
        ids, sides = [each.end_to_end_id for each in events], [each.side for each in events]
        made = await self._conclusions.conclude(ids, sides, seen.lives, decisions)
        for i, pix in enumerate(events):
            own = int(made.places[i])
            self.rows.append(
                score_row(
                    pix,
                    int(seen.sequence[i]),
                    vectors[i],
                    scored_at=claim.scored_at,
                    visited=seen.visited[i],
                    decision=decisions[i],
                    decided_sequence=own if own != UNPLACED else None,
                    decided_visited=made.visited[i],
                )
            )
            self.lookup.known[pix.end_to_end_id] = Parties(pix.payer_id, pix.payee_id, pix.device_id)

    async def tell(self, told: Told) -> None:
        """Count an outcome."""
        row = outcome_row(self.rows[told.about].event, told, self._time())
        counted = await self._counted.count([row])
        assert counted.errors == {}
        places = {"history_sequence": counted.places[0], "visited": counted.visited[0]}
        self.outcomes.append(msgspec.structs.replace(row, **places))

    async def report(self, message: dict[str, object]) -> None:
        """Count a report."""
        one = msgspec.structs.replace(report_row(message), received_at=self._time())
        for stored in (await VerdictHistory(self.lookup, self.history).count([one])).rows:
            known = self.lookup.known[stored.end_to_end_id or ""]
            self.reports.append(Reported(stored, {stored.end_to_end_id or "": known}))

    def _time(self, earliest: int = 0) -> int:
        """Return a time in microseconds after all earlier ones."""
        self._now = max(self._now + 1, earliest)
        return self._now

    def table(self, shard: Shard) -> pa.Table:
        """Return the rows that a shard has counted, in its order."""
        return placed_table(self.rows, shard)

    def changes(self, shard: Shard) -> pa.Table:
        """Return decisions and outcomes in the order of a shard."""
        return changes_table(self.rows, self.outcomes, shard)


def assert_equal_when_replayed(bank: ShardedBank, size: int = 7) -> None:
    """Assert that a replay of each shard gives the features of all rows, and misses no place."""
    start, shards = State.empty(), Shard.each(bank.shards)
    together = Together(start)
    work = [
        Audit(start, ReportQueue(bank.reports, shard=of), ChangeQueue([bank.changes(of)], of), of, together)
        for of in shards
    ]
    tables = [bank.table(of) for of in shards]
    for number, rows in in_step([[rows.slice(at, size) for at in range(0, len(rows), size)] for rows in tables]):
        work[number].add(rows, lambda scored_at: np.ones(len(scored_at), dtype=bool))
    assert (together.comparison.features, together.comparison.rows) == ({}, len(bank.rows))
    assert (len(together.joined), sum(each.replayed for each in work)) == (0, len(bank.rows))
    for each in work:
        assert (each.sequence.missing, each.sequence.conflicts, each.sequence.unequal) == (0, [], [])


async def live(bank: ShardedBank, count: int = 45, first: int = 0) -> None:
    """Score Pix among few accounts, with outcomes and reports in any order; those of a round happen together."""
    chance, done, said = bank.chance, first, set[tuple[int, str]]()
    while done < first + count:
        known, work = len(bank.rows), []
        for _ in range(chance.randint(1, 3)):
            events = [
                event(
                    *(chance.randrange(5), chance.randrange(5), done * 30 + i, chance.randrange(1, 90_000)),
                    end_to_end_id=f"E12345678202611241200{done + i:011d}",
                    device_registered=chance.random() < 0.7,
                    device_id=chance.choice([None, *DEVICES[1:]]),
                    payee_person_id=pseudonym(f"person-{chance.randrange(3)}"),
                )
                for i in range(chance.randint(1, 3))
            ]
            done += len(events)
            work.append(bank.score(events, [chance.choice(["APPROVE", "APPROVE", "HOLD"]) for _ in events]))
        # Statements about a Pix follow each other, each said once: one that changes nothing is placed by its time of
        # receipt. A recovery is not taken back: what rounding leaves of it is no part of this comparison.
        for about in chance.sample(range(known), min(known, chance.randint(0, 4))):
            status = chance.choice(STATUSES)
            if (about, status) not in said:
                said.add((about, status))
                work.append(bank.tell(Told(0, about, status, chance.randrange(9_000), 0.5, chance.choice(RETURNS))))
        for number, about in enumerate(chance.sample(range(known), min(known, chance.randint(0, 2)))):
            in_recovery = number == 0 and chance.random() < 0.5
            more = {"funds_recovery_id": f"f-{about % 3}"} if in_recovery else {}
            verdict = chance.choice(["AGREED", "OPEN"] if in_recovery else VERDICTS)
            name = f"r-{about}" if in_recovery else f"m-{about}"
            pix = bank.rows[about].event.end_to_end_id
            work.append(bank.report(med(verdict, done + number, name, pix, **more)))
        await asyncio.gather(*work)


def _made(entry: _Entry) -> tuple[int, ...]:
    return tuple(entry.made[shard] for shard in entry.away if shard in entry.made)
