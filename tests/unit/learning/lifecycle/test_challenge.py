"""Tests of challengers: their steps in pointer and ledger, their ends, and races with other moves of the pointer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import jobs
from shared.adapters.memory.learning import MemoryLedger, MemoryQueries, MemoryRuns
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import EPOCH
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused, Misconfigured, PreconditionFailed, Unavailable
from shared.learning import config
from shared.learning.config import Retention
from shared.learning.judging.live_rejects import RejectSums
from shared.learning.lifecycle.arm_counts import ArmRows
from shared.learning.lifecycle.challenge import ChallengeCommands
from shared.learning.lifecycle.guards import ArmCounts
from shared.learning.lifecycle.ledger import REJECT_CEILING, monitored_row
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.learning.lifecycle.reconcile import record_missing_moves
from shared.learning.lifecycle.retire import Retiring, retire
from shared.scoring.challenge import CHALLENGER, CHAMPION, Challenge
from shared.scoring.rules import Rules
from tests.unit.learning.bundles import small_bundle

AT = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
SHIPPED = config.load(Path(jobs.__file__).parent / "config.yaml")
RAMP, COSTS = SHIPPED.ramp, SHIPPED.costs.by_side
GOOD = {"held": 60, "rejected": 20}


def answered(arm: str, counts: ArmCounts) -> dict[str, Any]:
    """Return a row of the query of counts, of an arm that rejects no good customer."""
    row = {"arm": arm, "side": "PAYER", "is_recent": False, **msgspec.structs.asdict(counts)}
    return {**row, "good": float(counts.pix), "good_rejected": 0.0}


class Desk:
    """An operator's commands over memory; v1 serves, and the bucket has v0, v2 and v3 too."""

    def __init__(self) -> None:
        self.blobs, self.ledger, self.time = MemoryBlobs(lambda: self.time), MemoryLedger(), AT
        self.arms: dict[str, ArmCounts] = {}
        self.rejects = RejectSums()
        self.queries = MemoryQueries(self.answer)
        rows = ArmRows(self.queries, "p", "pix", Rules([]))
        self.commands = ChallengeCommands(self.blobs, self.ledger, rows, self.now, "ana")
        self.operator = OperatorMove(self.blobs, MemoryRuns, self.ledger, self.now, "eva")
        for version in ("v0", "v1", "v2", "v3"):
            publish(self.blobs, version, small_bundle(version))
        for version in ("v0", "v1"):
            swap(self.blobs, read_pointer(self.blobs), version, MoveCause(self.now(), "tests", ""))

    def now(self) -> dt.datetime:
        self.time += dt.timedelta(seconds=1)
        return self.time

    def answer(self, _: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        assert self.challenge
        assert given["version"] == self.challenge.version
        rows = [answered(arm, counts) for arm, counts in self.arms.items()]
        if rows:
            rows[0] |= msgspec.structs.asdict(self.rejects)
        return rows

    @property
    def challenge(self) -> Challenge | None:
        pointer = read_pointer(self.blobs).pointer
        assert pointer
        return pointer.challenge

    @property
    def rows(self) -> list[LedgerRow]:
        return [row for row in self.ledger.rows(EPOCH) if row.action.startswith("CHALLENGE")]

    def once(self, act: Callable[[], object]) -> None:
        """Let another job act between the next reading of the pointer and the write that follows it."""
        write = self.blobs.write

        def later(name: str, data: bytes, if_generation: int) -> int:
            self.blobs.write = write  # type: ignore[method-assign]
            act()
            return write(name, data, if_generation)

        self.blobs.write = later  # type: ignore[method-assign]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_each_step_is_in_the_pointer_and_a_row_of_the_ledger(desk: Desk) -> None:
    assert desk.commands.begin("v2", 0.0, "look").outcome == "STARTED"
    assert desk.challenge
    started = desk.challenge.started_at
    assert (desk.challenge.mode, desk.challenge.share) == ("SHADOW", 0.0)
    desk.commands.begin("v2", 0.1, "try")
    assert desk.challenge
    assert (desk.challenge.mode, desk.challenge.share, desk.challenge.started_at) == ("SHARE", 0.1, started)
    assert desk.commands.begin("v2", 0.1, "again").outcome == "UNCHANGED"
    assert desk.commands.stop("enough").recorded
    assert (desk.challenge, read_pointer(desk.blobs).version) == (None, "v1")
    assert [(row.action, row.reason, row.metrics) for row in desk.rows] == [
        ("CHALLENGE_SHADOW", "look", '{"share":0.0}'),
        ("CHALLENGE_SHARE", "try", '{"share":0.1}'),
        ("CHALLENGE_STOP", "enough", '{"share":0.0}'),
    ]
    assert {(row.actor, row.from_version, row.to_version) for row in desk.rows} == {("ana", "v1", "v2")}


def test_only_a_version_that_can_serve_and_does_not_is_tried_and_one_at_a_time(desk: Desk) -> None:
    with pytest.raises(BundleRefused):
        desk.commands.begin("none", 0.1, "")
    with pytest.raises(Misconfigured, match="serves already"):
        desk.commands.begin("v1", 0.1, "")
    desk.commands.begin("v2", 0.1, "")
    with pytest.raises(Misconfigured, match="v2 is tried"):
        desk.commands.begin("v3", 0.1, "")
    assert desk.commands.stop("", "v3").outcome == "UNCHANGED"
    nothing = ChallengeCommands(MemoryBlobs(), desk.ledger, desk.commands.rows, desk.now, "ana")
    with pytest.raises(Misconfigured, match="no model serves"):
        nothing.begin("v2", 0.1, "")


@pytest.mark.parametrize(
    ("move", "serves", "reason"),
    [
        (lambda desk: desk.operator.promote("v2", "won"), "v2", "promoted"),
        (lambda desk: desk.operator.promote("v3", "better"), "v3", "v3 serves instead of its champion"),
        (lambda desk: desk.operator.rollback("bad"), "v0", "v0 serves instead of its champion"),
    ],
)
def test_a_swap_ends_the_test_against_the_version_before(
    desk: Desk, move: Callable[[Desk], object], serves: str, reason: str
) -> None:
    desk.commands.begin("v2", 0.1, "try")
    move(desk)
    state = read_pointer(desk.blobs)
    assert (state.version, desk.challenge) == (serves, None)
    record_missing_moves(desk.blobs, desk.ledger, state)
    assert [(row.action, row.reason) for row in desk.rows] == [("CHALLENGE_SHARE", "try"), ("CHALLENGE_STOP", reason)]


def test_a_step_that_was_killed_before_its_row_is_finished_by_the_next_job(desk: Desk) -> None:
    desk.ledger.away = True
    found = desk.commands.begin("v2", 0.1, "try")
    assert (found.outcome, found.recorded) == ("STARTED", False)
    assert not desk.commands.begin("v2", 0.5, "more").recorded
    desk.ledger.away = False
    desk.operator.promote("v2", "won")
    desk.operator.rollback("no")
    assert [row.action for row in desk.rows] == ["CHALLENGE_SHARE", "CHALLENGE_SHARE", "CHALLENGE_STOP"]
    desk.commands.begin("v3", 0.0, "next")
    assert [step.reason for step in read_pointer(desk.blobs).steps] == ["next"], "what the ledger has is not kept"


def test_a_swap_wins_over_a_step_that_read_the_pointer_before_it(desk: Desk) -> None:
    desk.once(lambda: desk.operator.promote("v3", "better"))
    with pytest.raises(PreconditionFailed):
        desk.commands.begin("v2", 0.1, "try")
    assert (read_pointer(desk.blobs).version, desk.challenge) == ("v3", None)


def test_of_two_challengers_one_is_tried(desk: Desk) -> None:
    desk.once(lambda: desk.commands.begin("v3", 0.1, "first"))
    with pytest.raises(PreconditionFailed):
        desk.commands.begin("v2", 0.1, "second")
    assert desk.challenge
    assert desk.challenge.version == "v3"


def test_a_rollback_is_not_stopped_by_a_step_of_a_test(desk: Desk) -> None:
    desk.commands.begin("v2", 0.1, "try")
    desk.once(lambda: desk.commands.begin("v2", 0.5, "more"))
    desk.operator.rollback("bad")
    assert (read_pointer(desk.blobs).version, desk.challenge) == ("v0", None)


def test_a_challenger_is_not_promoted_over_a_guard_that_trips_meanwhile(desk: Desk) -> None:
    desk.commands.begin("v2", 0.1, "try")
    desk.arms = {CHALLENGER: ArmCounts(1_000, held=500), CHAMPION: ArmCounts(9_000, **GOOD)}
    desk.once(lambda: desk.commands.watch(RAMP, COSTS))
    with pytest.raises(PreconditionFailed):
        desk.operator.promote("v2", "won")
    assert (read_pointer(desk.blobs).version, desk.challenge) == ("v1", None)


def test_a_stop_ends_a_test_that_a_ramp_has_moved_on_meanwhile(desk: Desk) -> None:
    desk.commands.begin("v2", 0.1, "try")
    desk.once(lambda: desk.commands.begin("v2", 0.5, "more"))
    desk.commands.stop("enough")
    assert desk.challenge is None


def test_a_retirement_keeps_a_challenger_and_one_that_is_leaving_cannot_be_tried(desk: Desk) -> None:
    desk.commands.begin("v2", 0.1, "try")
    desk.time += dt.timedelta(days=100)
    desk.ledger = MemoryLedger()
    retiring = Retiring(desk.blobs, desk.blobs, desk.ledger, desk.now, "ana")
    found = retire(retiring, Retention(0, 0.0), lambda _: None)
    assert found.retired == ["v3"]
    assert desk.challenge
    state = read_pointer(desk.blobs)
    assert state.pointer
    leaving = msgspec.structs.replace(state.pointer, retiring=["v0"], challenge=None)
    desk.blobs.write("models/current.json", msgspec.json.encode(leaving), state.generation)
    with pytest.raises(BundleRefused, match="being retired"):
        desk.commands.begin("v0", 0.1, "")


def ramped(desk: Desk, hours: float, pix: int) -> str:
    """Return the outcome of a look, so many hours later and with so many Pix decided by the challenger."""
    desk.time += dt.timedelta(hours=hours)
    desk.arms = {CHALLENGER: ArmCounts(pix), CHAMPION: ArmCounts(9_000, **GOOD)}
    if pix:
        desk.arms[CHALLENGER] = ArmCounts(pix, held=pix // 150, rejected=pix // 450)
    return desk.commands.watch(RAMP, COSTS).outcome


def test_a_ramp_takes_its_steps_when_they_are_due_and_enough_was_decided(desk: Desk) -> None:
    desk.commands.ramp("v2", RAMP, "ramp")
    shares = [desk.challenge.share if desk.challenge else None]
    for hours, pix, outcome in (
        (0.5, 9_000, "UNCHANGED"),
        (1, 100, "UNCHANGED"),
        (0, 9_000, "STEPPED"),
        (6.1, 9_000, "STEPPED"),
        (24.1, 9_000, "STEPPED"),
        (99, 9_000, "UNCHANGED"),
    ):
        assert ramped(desk, hours, pix) == outcome
        assert desk.challenge
        shares.append(desk.challenge.share)
    assert shares == [0.01, 0.01, 0.01, 0.1, 0.5, 1.0, 1.0]
    assert desk.challenge.before["held"] == GOOD["held"], "the reference of an arm that decides everything"
    assert [row.action for row in desk.rows] == ["CHALLENGE_SHARE"] * 4
    figures = msgspec.json.decode(desk.rows[-1].metrics or "")
    assert (figures["share"], figures["challenger_pix"], figures["champion_held"]) == (1.0, 9_000, 60)


def test_a_guard_that_trips_moves_the_pointer_back_and_the_ledger_says_why(desk: Desk) -> None:
    desk.commands.ramp("v2", RAMP, "ramp")
    desk.arms = {CHALLENGER: ArmCounts(1_000, held=500), CHAMPION: ArmCounts(9_000, **GOOD)}
    found = desk.commands.watch(RAMP, COSTS)
    assert (found.outcome, found.recorded, desk.challenge) == ("TRIPPED", True, None)
    row = desk.rows[-1]
    assert (row.action, row.from_version, row.to_version) == ("CHALLENGE_TRIPPED", "v1", "v2")
    assert row.reason == (
        "guard: held: 50.00% of 1,000 by the challenger, 0.67% of 9,000 by the champion; at most 1.5 times"
    )
    assert desk.commands.watch(RAMP, COSTS).outcome == "UNCHANGED"


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_challenger_that_rejects_too_many_good_customers_is_stopped_in_the_shadow_too(
    desk: Desk, share: float
) -> None:
    desk.commands.begin("v2", share, "try")
    desk.arms, desk.rejects = {CHAMPION: ArmCounts(9_000, **GOOD)}, RejectSums(9_000.0, 18.0)
    assert desk.commands.watch(RAMP, COSTS).outcome == "UNCHANGED", "at the ceiling of 0.2 %"
    desk.rejects = RejectSums(9_000.0, 45.0)
    assert desk.commands.watch(RAMP, COSTS).outcome == "TRIPPED"
    assert desk.rows[-1].reason == (
        "guard: ceiling: the challenger rejects 0.500% of good customers on the payer's side by its scores; "
        "at most 0.200%"
    )


def test_what_labels_say_of_its_rejects_ends_a_test_that_was_running(desk: Desk) -> None:
    def told(version: str) -> None:
        row = monitored_row(REJECT_CEILING, desk.now(), "job", "rejects too few frauds", version, {}, desk.now())
        desk.ledger.append(row)

    told("v2")
    desk.commands.begin("v2", 0.1, "try again")
    told("v1")
    assert desk.commands.watch(RAMP, COSTS).outcome == "UNCHANGED", "of an earlier test, and of the champion"
    told("v2")
    assert desk.commands.watch(RAMP, COSTS).outcome == "TRIPPED"
    assert desk.rows[-1].reason == "guard: ceiling: the challenger rejects too few frauds"


def test_a_watch_without_a_test_asks_nothing_and_one_without_rows_changes_nothing(desk: Desk) -> None:
    desk.queries.away = True
    assert desk.commands.watch(RAMP, COSTS).outcome == "UNCHANGED"
    desk.commands.begin("v2", 0.1, "try")
    with pytest.raises(Unavailable):
        desk.commands.watch(RAMP, COSTS)
    assert desk.challenge


def test_the_status_has_the_counts_of_both_arms(desk: Desk) -> None:
    assert desk.commands.status(RAMP).challenge is None
    desk.commands.begin("v2", 0.1, "try")
    desk.arms = {CHAMPION: ArmCounts(9_000, **GOOD)}
    found = desk.commands.status(RAMP)
    assert (found.outcome, found.champion, found.arms) == ("UNCHANGED", "v1", desk.arms)
