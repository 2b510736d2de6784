"""Begin, move on and end the test of a challenger: the pointer names it, and the ledger has a row for each step.

As with a swap, the pointer is written first, on condition that nobody moved it since it was read, and holds all that
the row needs; the next job appends a row that a killed one left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from shared.errors import Misconfigured, PreconditionFailed, Unavailable
from shared.learning.lifecycle.arm_counts import ArmRows
from shared.learning.lifecycle.guards import ArmCounts, Reading, tripped
from shared.learning.lifecycle.ledger import REJECT_CEILING, challenge_row
from shared.learning.lifecycle.pointer import (
    REASON_MAX,
    PointerState,
    parse_time,
    read_pointer,
    verified,
    write_pointer,
)
from shared.learning.lifecycle.reconcile import are_recorded
from shared.learning.ports import Ledger
from shared.learning.specs.gate import CostSpec
from shared.learning.specs.ramp import RampSpec
from shared.ports.blobs import Blobs
from shared.scoring.bundle import Pointer
from shared.scoring.challenge import CHALLENGER, CHAMPION, Challenge, ChallengeAction, ChallengeMove, Mode

_HOUR = dt.timedelta(hours=1)


class ChallengeResult(Struct, frozen=True):
    """The champion and the test as they stand now, and whether the ledger has every step.

    `outcome` is STARTED (also of a step by hand), STEPPED by the ramp, TRIPPED by a guard, STOPPED, or UNCHANGED.
    `arms` are the counts of the stage by arm, None where nobody asked for them.
    """

    outcome: str
    champion: str | None
    challenge: Challenge | None
    recorded: bool
    reason: str = ""
    arms: Mapping[str, ArmCounts] | None = None


@dataclass(frozen=True, slots=True)
class ChallengeCommands:
    """Steps of tests by `actor`; each raises PreconditionFailed, Unavailable, and then nothing has changed."""

    blobs: Blobs
    ledger: Ledger
    rows: ArmRows
    clock: Callable[[], dt.datetime]
    actor: str

    def begin(self, version: str, share: float, reason: str, ramp: bool = False) -> ChallengeResult:
        """Test `version`, in the shadow with a share of 0; a test of it that runs goes on with that share.

        Raises BundleRefused if it cannot serve, Misconfigured if another challenger is tested, or it serves already.
        """
        state = self._read()
        if state.pointer is None:
            raise Misconfigured("no model serves, so there is none to challenge: promote it with jobs.promote")
        if version == state.version:
            raise Misconfigured(f"{version} serves already")
        running = state.pointer.challenge
        if running and running.version != version:
            raise Misconfigured(f"{running.version} is tried: stop its test first (--stop)")
        verified(self.blobs, state, version)
        now = state.after(self.clock()).isoformat()
        started = running.started_at if running else now
        mode: Mode = "SHARE" if share else "SHADOW"
        challenge = Challenge(version, mode, started, now, share, ramp, running.before if running else {})
        if running and (running.share, running.ramp) == (share, ramp):
            return self._unchanged(state)
        return self._write(state, challenge, "STARTED", reason)

    def ramp(self, version: str, spec: RampSpec, reason: str) -> ChallengeResult:
        """Test `version` by the schedule of `spec`, from its first share or from the one that it has by now."""
        running = self._challenge()
        share = running.share if running and running.version == version else 0.0
        return self.begin(version, share or spec.stages[0].share, reason, ramp=True)

    def stop(self, reason: str, version: str | None = None) -> ChallengeResult:
        """End the test, if one runs; that of `version` alone, if it is given."""
        state = self._read()
        running = state.pointer.challenge if state.pointer else None
        if running is None or version not in (None, running.version):
            return self._unchanged(state)
        return self._write(state, None, "STOPPED", reason)

    def status(self, spec: RampSpec) -> ChallengeResult:
        """Return the test and the counts of its stage; append rows that the ledger lacks. Raises Misconfigured."""
        state = self._read()
        found, running = self._unchanged(state), self._challenge(state)
        if running is None:
            return found
        reading = self.rows.read(running, spec.guards.slow_ms, self.clock())
        return msgspec.structs.replace(found, arms=reading.stage)

    def watch(self, spec: RampSpec, costs: Mapping[str, CostSpec]) -> ChallengeResult:
        """Look at the guards: end a test of which one trips, and take the next step of a ramp when it is due.

        `costs` have the ceilings on rejects of each side; the ledger has their measures by labels. Raises
        Misconfigured as `status`.
        """
        state = self._read()
        running = self._challenge(state)
        if running is None:
            return self._unchanged(state)
        now = self.clock()
        reading = self.rows.read(running, spec.guards.slow_ms, now)
        before = ArmCounts(**running.before) if running.before else None
        if why := tripped(reading, before, spec.guards, costs) or self._broken_ceiling(running):
            return self._write(state, None, "TRIPPED", f"guard: {why}", reading)
        share = next_share(running, reading, spec, now)
        if share is None:
            return msgspec.structs.replace(self._unchanged(state), arms=reading.stage)
        known = reading.of(CHAMPION)
        onward = msgspec.structs.replace(
            running,
            share=share,
            changed_at=state.after(now).isoformat(),
            before=msgspec.structs.asdict(known) if known.pix else running.before,
        )
        return self._write(state, onward, "STEPPED", f"ramp: no guard tripped at {running.share:.0%}", reading)

    def _broken_ceiling(self, running: Challenge) -> str | None:
        """Return the findings of `jobs.monitor` about the rejects of the challenger since its test began."""
        for row in self.ledger.rows(parse_time(running.started_at)):
            if (row.action, row.to_version) == (REJECT_CEILING, running.version):
                return f"ceiling: the challenger {row.reason}"
        return None

    def _read(self) -> PointerState:
        return read_pointer(self.blobs)

    def _challenge(self, state: PointerState | None = None) -> Challenge | None:
        pointer = (state or self._read()).pointer
        return pointer.challenge if pointer else None

    def _unchanged(self, state: PointerState) -> ChallengeResult:
        recorded = are_recorded(self.blobs, self.ledger, state)
        return ChallengeResult("UNCHANGED", state.version, self._challenge(state), recorded)

    def _write(
        self,
        state: PointerState,
        challenge: Challenge | None,
        outcome: str,
        reason: str,
        reading: Reading | None = None,
    ) -> ChallengeResult:
        """Write a step and its row; a pointer that moved in nothing that it is about is read again."""
        recorded = are_known = are_recorded(self.blobs, self.ledger, state)
        while True:
            step = self._step(state, challenge, outcome, reason, reading)
            try:
                write_pointer(self.blobs, with_step(state, challenge, step, are_known), state)
                break
            except PreconditionFailed as error:
                state, are_known = _reread(self.blobs, state, challenge, error), False
        try:
            self.ledger.append(challenge_row(step))
        except Unavailable:
            recorded = False
        arms = reading.stage if reading else None
        return ChallengeResult(outcome, state.version, challenge, recorded, step.reason, arms)

    def _step(
        self,
        state: PointerState,
        challenge: Challenge | None,
        outcome: str,
        reason: str,
        reading: Reading | None,
    ) -> ChallengeMove:
        running = challenge or self._challenge(state)
        if running is None or state.version is None:
            raise AssertionError("a step is one of a test")
        at = challenge.changed_at if challenge else state.after(self.clock()).isoformat()
        figures = {"share": challenge.share if challenge else 0.0, **_figures(reading)}
        action = _action(challenge, outcome)
        return ChallengeMove(action, at, state.version, running.version, self.actor, reason[:REASON_MAX], figures)


def next_share(challenge: Challenge, reading: Reading, spec: RampSpec, now: dt.datetime) -> float | None:
    """Return the share of the next step of a ramp, None if it is not due, or there is none."""
    if not challenge.ramp:
        return None
    hours = max((stage.hours for stage in spec.stages if stage.share <= challenge.share), default=0.0)
    later = [stage.share for stage in spec.stages if stage.share > challenge.share]
    due = now - parse_time(challenge.changed_at) >= hours * _HOUR
    return later[0] if later and due and reading.of(CHALLENGER).pix >= spec.pix_min else None


def with_step(state: PointerState, challenge: Challenge | None, step: ChallengeMove, are_known: bool) -> Pointer:
    """Return the pointer after a step; earlier moves and steps leave it if the ledger has them (`are_known`)."""
    if state.pointer is None:
        raise AssertionError("a test is one of a model that serves")
    kept: Sequence[ChallengeMove] = [] if are_known else state.pointer.challenge_moves
    moves = [] if are_known else state.pointer.unrecorded
    return msgspec.structs.replace(
        state.pointer, challenge=challenge, challenge_moves=[*kept, step], unrecorded=moves
    )


def _reread(
    blobs: Blobs, state: PointerState, challenge: Challenge | None, error: PreconditionFailed
) -> PointerState:
    """Return the current pointer if the champion is the same, and the test too, or one that is to end.

    Raises PreconditionFailed.
    """
    now = read_pointer(blobs)
    known, running = (each.pointer.challenge if each.pointer else None for each in (state, now))
    is_same = known == running
    if challenge is None and known and running:
        is_same = (known.version, known.started_at) == (running.version, running.started_at)
    if is_same and now.moves[-1:] == state.moves[-1:]:
        if challenge:
            verified(blobs, now, challenge.version)
        return now
    raise PreconditionFailed("the pointer moved meanwhile; nothing was changed") from error


def _action(challenge: Challenge | None, outcome: str) -> ChallengeAction:
    if challenge is None:
        return "CHALLENGE_TRIPPED" if outcome == "TRIPPED" else "CHALLENGE_STOP"
    return "CHALLENGE_SHARE" if challenge.share else "CHALLENGE_SHADOW"


def _figures(reading: Reading | None) -> dict[str, float]:
    """Return the counts of a stage by name and arm, for the ledger."""
    if reading is None:
        return {}
    return {
        f"{arm.lower()}_{name}": float(value)
        for arm, counts in reading.stage.items()
        for name, value in msgspec.structs.asdict(counts).items()
    }
