"""The decide function: one question about a Pix in, the decision about it out, within the time of the caller."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from shared.contract.decision import DecisionAnswer
from shared.contract.envelope import PubsubMessage
from shared.errors import NotInTime, Unavailable
from shared.scoring.reply import Reply
from shared.scoring.scorer import Delivery
from shared.serving.earlier import EarlierDecisions
from shared.serving.intake import Intake
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between the attempts to store the row of a decision that was given: an append may take 15 s itself."""
RESERVE, RESERVE_SECONDS = 0.2, 0.05
"""The part of the caller's time that is left for the way back, and how much of it at most."""


class DecideService:
    """Answer each question with the one decision of its side about the Pix.

    A question goes through the same batches as the messages of the topic. Whichever comes first claims the Pix in
    history, and the claim fixes all that the decision rests on, so the others get the same one.

    An answer is given once nothing can change it any more: its row is stored, or, as soon as the caller's time runs
    out, history keeps the decision with the claim while the row is on its way. So a slow append to BigQuery makes no
    answer late while a batch is free. Only the claim itself may be late. A decision by rules alone would then be
    in time, but the full one would follow it: the message may be in a batch already, or come by the topic. Two
    decisions would stand, and the caller would have acted on the one that is not stored. Instead the caller is told
    to ask again (NotInTime); the decision goes on being made, and is there for the next question. Without history
    there is no claim, and for the same reason no answer (Unavailable). Without a model there is one: by rules,
    `degraded`, and under the claim.

    A row that is stored later than its answer is tried again for half a minute. A shutdown ends the pause, for one
    more attempt. If that fails too, the decision still stands in history, and the next question, or the message of
    the topic, stores it.

    Where history has forgotten a Pix, its row answers.
    """

    def __init__(
        self,
        intake: Intake[Delivery],
        decode: Callable[[PubsubMessage], Delivery],
        earlier: EarlierDecisions,
    ) -> None:
        self.readiness = intake.readiness
        self._intake = intake
        self._decode = decode
        self._earlier = earlier
        self._working: dict[asyncio.Task[DecisionAnswer], Reply] = {}
        self._draining = asyncio.Event()
        self._unstored = 0
        self._lost = Incident(log, "decision without a row", time.monotonic)

    async def answer(self, message: bytes, seconds: float) -> DecisionAnswer:
        """Return the decision about the Pix in a message of `pix-transactions`, in about `seconds` at most.

        Raises Malformed, Overloaded, NotInTime, Unavailable, RowRefused.
        """
        if self._draining.is_set():
            raise Unavailable("shutting down")
        reply = Reply()
        delivery = replace(self._decode(PubsubMessage(message)), reply=reply)
        work = asyncio.create_task(self._decided(delivery, reply))
        self._working[work] = reply
        work.add_done_callback(self._end)
        await asyncio.wait((work,), timeout=seconds - min(RESERVE * seconds, RESERVE_SECONDS))
        if work.done():
            return work.result()
        if reply.decided is None:
            raise NotInTime("the decision is not made yet")
        return DecisionAnswer.of(reply.decided, reply.first)

    async def drain(self, seconds: float) -> None:
        """Refuse new questions, finish those in work, and after `seconds` give up the rest.

        The intake refuses later than the questions: until then it takes rows whose append has failed before.
        """
        ends = time.monotonic() + seconds
        self._draining.set()
        if self._working:
            await asyncio.wait(self._working, timeout=seconds)
        await self._intake.drain(max(ends - time.monotonic(), 0.0))
        self._unstored += sum(reply.decided is not None for reply in self._working.values())
        if self._unstored:
            log.error("decisions left without a row", extra={"fields": {"decisions": self._unstored}})

    async def _decided(self, delivery: Delivery, reply: Reply) -> DecisionAnswer:
        event = delivery.event
        if self._earlier.may_be_forgotten([event]) and (known := await self._earlier.found(event)):
            return DecisionAnswer.of(known.decided, first=False)
        await self._store(delivery, reply)
        if reply.decided is not None:
            return DecisionAnswer.of(reply.decided, reply.first)
        if (known := await self._earlier.found(event)) is None:
            raise Unavailable("the row of an earlier decision cannot be read yet")
        return DecisionAnswer.of(known.decided, first=False)

    async def _store(self, delivery: Delivery, reply: Reply) -> None:
        """Store the row of a decision, again and again once the decision may have been given."""
        pauses = iter(PAUSES)
        while True:
            is_last = self._draining.is_set()
            try:
                return await self._intake.submit(delivery)
            except Unavailable:
                if reply.decided is None:
                    raise
                pause = next(pauses, None)
                if pause is None or is_last:
                    self._leave()
                    raise
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Wait for `seconds`, or until the service drains."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), seconds)

    def _leave(self) -> None:
        """Count a decision that is left without a row; those of a shutdown are logged at its end."""
        if self._draining.is_set():
            self._unstored += 1
        else:
            self._lost.trigger()

    def _end(self, work: asyncio.Task[DecisionAnswer]) -> None:
        """Drop work that is done, and its error: the intake has counted it, and maybe no caller waits any more."""
        del self._working[work]
        if not work.cancelled():
            work.exception()
