"""A scorer over memory, whose clock, history, bucket and models are in the hands of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.purse import MemoryPurse
from shared.adapters.memory.serving import MemoryBlobs, MemoryTable
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import ScoreRow
from shared.contract.transaction import decode_transaction
from shared.errors import Unavailable
from shared.features.columns import Events
from shared.ports.history import Answer, Claim, Observations
from shared.scoring.arms import AccountDraw
from shared.scoring.bundle import MANIFEST, POINTER, Manifest, Pointer, path
from shared.scoring.challenge import Challenge
from shared.scoring.challenger import LiveChallenger
from shared.scoring.champion import Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.control import CONTROL, Budget, Switch, Ticket
from shared.scoring.control_group import ControlGroup
from shared.scoring.control_switch import ControlSwitch
from shared.scoring.rules import Rules
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.score_service import ScorePipeline
from shared.telemetry.metrics import Metrics
from tests.builders import encoded

PSEUDONYMISER = Pseudonymiser(b"test")


class Bench:
    """A scorer over memory, with a clock and a history that can be taken away."""

    def __init__(self, bundle: Mapping[str, bytes]) -> None:
        self.blobs = MemoryBlobs()
        self.time = 1_795_185_126_000_000
        self.away = self.dies = False
        self.number = self.spent = 0.0
        self.history = MemoryHistoryAdapter()
        self.metrics = Metrics()
        self.table = MemoryTable()
        self.purse = MemoryPurse()
        self.bundle = bundle
        self.restart()

    def restart(self) -> None:
        """Forget all models, as another instance knows none."""
        switch = ControlSwitch(self.blobs, lambda: self.time / 1e6, 15.0)
        self.champion = Champion(self.blobs, 5.0, lambda: self.time / 1e6, self.metrics, switch.look)
        conclusions = Conclusions(self.history, "assumed")
        self.challenger = LiveChallenger(
            self.champion, AccountDraw(b"test"), self.metrics, lambda: self.time / 1e6, lambda: self.spent
        )
        scorer = Scorer(
            self,
            conclusions,
            self.champion,
            Rules.load(),
            lambda: self.time,
            40.0,
            1,
            self.metrics,
            self.challenger,
        )
        control = ControlGroup(switch, self.purse, self.ticket, lambda: self.time, self.metrics)
        self.pipeline = ScorePipeline(
            scorer, self.table, PSEUDONYMISER, lambda: self.time, 86_400.0, self.metrics, control=control
        )

    def ticket(self, end_to_end_id: str, side: str) -> Ticket:
        """Return the ticket of a Pix and side in the control group."""
        return Ticket(f"{end_to_end_id}{side}", self.number)

    def control(self, budget: Budget | None) -> None:
        """Switch the control group on or off, and let the instance know."""
        now = self.blobs.read(CONTROL)
        switch = Switch(budget, "2026-11-20T12:00:00Z", "tests", "")
        self.blobs.write(CONTROL, msgspec.json.encode(switch), now.generation if now else 0)
        self.champion.look()

    async def observe(self, events: Events, claim: Claim) -> Observations:
        if self.away:
            raise Unavailable("history is away")
        return await self.history.observe(events, claim)

    def stored(self, rows: Iterable[tuple[str, str]]) -> None:
        """Note that rows are stored, unless the process dies before it can tell."""
        if not self.dies:
            self.history.stored(rows)

    async def answer(self, answers: Sequence[Answer]) -> None:
        """Keep first decisions."""
        await self.history.answer(answers)

    async def keep_reads(self) -> None:
        """Do nothing: they are kept at once."""

    async def settle(self) -> None:
        """Do nothing: it is told at once."""

    def serve(self, version: str) -> None:
        self.publish(version)
        self.point(version)

    def publish(self, version: str, bundle: Mapping[str, bytes] | None = None) -> None:
        """Put a bundle into the bucket under another version."""
        files = dict(bundle or self.bundle)
        manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
        files[MANIFEST] = msgspec.json.encode(msgspec.structs.replace(manifest, version=version))
        for name, data in files.items():
            self.blobs.write(path(version, name), data, 0)

    def point(self, version: str, challenge: Challenge | None = None) -> None:
        pointer = msgspec.json.encode(Pointer(version=version, swapped_at="", challenge=challenge))
        now = self.blobs.read(POINTER)
        self.blobs.write(POINTER, pointer, now.generation if now else 0)
        self.champion.look()

    def score(self, *messages: dict[str, Any]) -> list[Any]:
        events = [event_of(decode_transaction(encoded(message)).value, PSEUDONYMISER) for message in messages]
        return asyncio.run(self.scored([Delivery(event, None) for event in events]))

    async def scored(self, deliveries: list[Delivery]) -> list[Any]:
        """Return the new row of each delivery, its error, or None, once every task beside the batch is done."""
        before = len(self.table.rows)
        errors = await self.pipeline.store(deliveries)
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        rows = {row.event: row for row in self.table.rows[before:] if isinstance(row, ScoreRow)}
        return [errors.get(i) or rows.get(delivery.event) for i, delivery in enumerate(deliveries)]
