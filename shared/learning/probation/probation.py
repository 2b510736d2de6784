"""Look at a model that has just begun to serve, twice, and roll it back or tell a person if it is not as foretold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import Struct

from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused, PreconditionFailed
from shared.learning.data.profile import read_profile
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import PointerState, parse_time, read_pointer
from shared.learning.probation.bands import LOOKS, Findings, Foretold, look
from shared.learning.probation.rows import ProbationRows
from shared.learning.specs.gate import CostSpec
from shared.learning.specs.probation import ProbationSpec
from shared.scoring.bundle import Pointer
from shared.scoring.champion import read_bundle

PASSED, FAILED, TOO_FEW = ACTIONS = ("PROBATION_PASSED", "PROBATION_FAILED", "PROBATION_TOO_FEW")
"""Actions of the ledger: a look was within its bands, outside of one, or had too few decisions."""
LATEST = dt.timedelta(days=3)
"""Age of a move from which it is not looked at any more: a job that was off says nothing about a model of then."""


class ProbationResult(Struct, frozen=True):
    """The result: the version that was looked at and each look that was due, with its outcome and its reasons."""

    outcome: str
    version: str | None = None
    looks: dict[str, str] = {}
    reasons: list[str] = []
    consequence: Literal["NONE", "TOLD", "ROLLED_BACK", "SWAP_LOST"] = "NONE"


@dataclass(frozen=True, slots=True)
class Probation:
    """The services of a probation: the pointer and the ledger of `moves`, and the rows of decisions.

    `costs` have the ceilings on rejects of each side.
    """

    moves: OperatorMove
    rows: ProbationRows
    spec: ProbationSpec
    costs: Mapping[str, CostSpec]

    def run(self, now: dt.datetime) -> ProbationResult:
        """Take the looks that are due. Raises Unavailable, Misconfigured, BundleRefused.

        A probation is there for a bundle that is refused: its golden vectors are proven again at each look.
        """
        state = read_pointer(self.moves.blobs)
        if state.pointer is None:
            return ProbationResult("NOTHING_TO_DO", reasons=["no model serves"])
        due = self._due(state.pointer, now)
        if not due:
            return ProbationResult("NOTHING_TO_DO", state.version, reasons=["no look is due"])
        looks: dict[str, str] = {}
        for kind in due:
            found = self._look(state.pointer, kind)
            looks[kind] = action = _action(found)
            self.moves.ledger.append(self._row(state.pointer, kind, action, found))
            if action == FAILED:
                return ProbationResult(
                    "LOOKED", state.version, looks, found.outside, self._follow(state, kind, found)
                )
        return ProbationResult("LOOKED", state.version, looks)

    def _due(self, pointer: Pointer, now: dt.datetime) -> list[str]:
        """Return the looks whose time has come and that the ledger lacks, unless the move is old."""
        moved = parse_time(pointer.swapped_at)
        if now - moved > LATEST:
            return []
        passed = [kind for kind in LOOKS if now >= self._period(pointer, kind)[1] + self._settled]
        if not passed:
            return []
        known = {(row.to_version, row.as_of) for row in self.moves.ledger.rows(moved) if row.action in ACTIONS}
        return [kind for kind in passed if (pointer.version, micros(self._period(pointer, kind)[1])) not in known]

    @property
    def _settled(self) -> dt.timedelta:
        return dt.timedelta(minutes=self.spec.settle_minutes)

    def _period(self, pointer: Pointer, kind: str) -> tuple[dt.datetime, dt.datetime]:
        """Return the start and the end of a look: of the times at which Pix were decided."""
        start = parse_time(pointer.swapped_at) + self._settled
        length = dt.timedelta(minutes=self.spec.minutes) if kind == LOOKS[0] else dt.timedelta(days=1)
        return start, start + length

    def _look(self, pointer: Pointer, kind: str) -> Findings:
        try:
            bundle = read_bundle(self.moves.blobs, pointer.version)
            scores = read_profile(self.moves.blobs, pointer.version).score
        except BundleRefused as error:
            return Findings({}, [f"its bundle or its golden vectors are refused: {error}"], is_enough=True)
        card = bundle.manifest.metrics
        shares = [card.get(name) for name in ("held_share", "rejected_share")]
        foretold = Foretold(scores, None if None in shares else sum(share or 0.0 for share in shares))
        seen = self.rows.read(pointer.version, self._period(pointer, kind), scores.edges)
        return look(seen, foretold, self.spec, self.costs, kind)

    def _follow(self, state: PointerState, kind: str, found: Findings) -> Literal["TOLD", "ROLLED_BACK", "SWAP_LOST"]:
        """Roll back if the configuration says so, but never a rollback: two models would take turns."""
        pointer = state.pointer
        if self.spec.outside != "roll_back" or pointer is None or pointer.action != "SWAP" or not pointer.previous:
            return "TOLD"
        try:
            self.moves.rollback(f"probation of its first {kind}: {'; '.join(found.outside)}", over=state)
        except PreconditionFailed:
            return "SWAP_LOST"
        return "ROLLED_BACK"

    def _row(self, pointer: Pointer, kind: str, action: str, found: Findings) -> LedgerRow:
        said = {PASSED: "as foretold", TOO_FEW: f"fewer than {self.spec.rows_min:,} decisions"}
        return LedgerRow(
            recorded_at=micros(self.moves.clock()),
            action=action,
            actor=self.moves.actor,
            reason=f"first {kind}: {'; '.join(found.outside) or said[action]}",
            from_version=pointer.previous,
            to_version=pointer.version,
            metrics=msgspec.json.encode(found.figures).decode(),
            as_of=micros(self._period(pointer, kind)[1]),
        )


def _action(found: Findings) -> str:
    if found.outside:
        return FAILED
    return PASSED if found.is_enough else TOO_FEW
