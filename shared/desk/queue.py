"""The queue: the cases that wait for a user, ordered by the cost of waiting."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping

from msgspec import Struct

from shared.contract.feedback import ShownBecause
from shared.desk.case_state import CaseState, Stage
from shared.desk.open_case import OpenCase
from shared.desk.records import CaseId, HeldPix


class QueueEntry(Struct, frozen=True):
    """A case in the queue of a user: `why` it is shown, its stage, and the holder of its lock, if any."""

    pix: HeldPix
    why: ShownBecause
    state: CaseState
    holder: str | None = None

    @property
    def is_second(self) -> bool:
        """Return whether it is shown for a blind second verdict."""
        return self.why is ShownBecause.SECOND_REVIEW


class Filters(Struct, frozen=True):
    """The choice of a user; an empty field chooses all."""

    side: str = ""
    why: str = ""
    reason: str = ""

    def admit(self, entry: QueueEntry) -> bool:
        """Return whether an entry is among the chosen ones."""
        return (
            self.side in ("", entry.pix.side)
            and self.why in ("", entry.why)
            and (not self.reason or self.reason in entry.pix.reasons)
        )


def queue(
    waiting: Iterable[HeldPix],
    states: Mapping[CaseId, CaseState],
    holders: Mapping[CaseId, str],
    user_id: str,
    seconds: Iterable[HeldPix] = (),
) -> list[QueueEntry]:
    """Return the entries of a user in their order; `seconds` are those drawn for a second verdict."""
    entries = [_entry(pix, states, holders) for pix in waiting]
    found = [each for each in entries if each.state.stage is not Stage.JUDGED and not _is_own(each.state, user_id)]
    found += [
        QueueEntry(pix, ShownBecause.SECOND_REVIEW, states[pix.case], holders.get(pix.case))
        for pix in seconds
        if needs_second(states.get(pix.case), user_id)
    ]
    return sorted(found, key=cost_of_waiting)


def needs_second(state: CaseState | None, user_id: str) -> bool:
    """Return whether a user may give the blind second verdict of a case that was drawn for one."""
    if state is None or state.judged is None or not awaits_second(state):
        return False
    answered = state.answer is not None and state.answer.by_id == user_id
    return state.judged.by_id != user_id and not answered


def awaits_second(state: CaseState) -> bool:
    """Return whether a case has a verdict in force and no blind second one."""
    return state.stage is Stage.JUDGED and state.second is None


def is_waiting(opened: OpenCase, user_id: str, now: dt.datetime) -> bool:
    """Return whether a case still belongs in the queue of a user, as far as its own rows tell."""
    if opened.is_blind:
        return True
    is_open = opened.state.stage is not Stage.JUDGED and not _is_own(opened.state, user_id)
    return is_open and seconds_left(opened.pix, now) != 0


def cost_of_waiting(entry: QueueEntry) -> tuple[bool, float, float, str]:
    """Return the key of the queue's order: held Pix first, the largest expected loss, then the nearest deadline.

    A Pix without a score was stopped by a rule or without a model: its whole amount is at stake.
    """
    pix = entry.pix
    loss = float(pix.amount) if pix.expected_loss is None else pix.expected_loss
    due = math.inf if pix.hold_until is None else pix.hold_until.timestamp()
    return entry.is_second, -loss, due, pix.end_to_end_id


def next_free(entries: Iterable[QueueEntry]) -> list[QueueEntry]:
    """Return the entries that nobody holds, in their order."""
    return [entry for entry in entries if entry.holder is None]


def seconds_left(pix: HeldPix, now: dt.datetime) -> float | None:
    """Return the seconds until a hold ends, 0 after it, None for a Pix that is not held."""
    return None if pix.hold_until is None else max(0.0, (pix.hold_until - now).total_seconds())


def _entry(pix: HeldPix, states: Mapping[CaseId, CaseState], holders: Mapping[CaseId, str]) -> QueueEntry:
    return QueueEntry(pix, pix.shown_because, states.get(pix.case, CaseState()), holders.get(pix.case))


def _is_own(state: CaseState, user_id: str) -> bool:
    """Return whether a case waits for another person than the user, who judged it."""
    return state.stage is Stage.AWAITING and state.judged is not None and state.judged.by_id == user_id
