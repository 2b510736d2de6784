"""Changes of history for tests of its stores: outcomes, verdicts and markers, told as the functions tell them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from shared.contract.event import Event
from shared.features.facts import Facts, VerdictCount, marker_facts, verdict_facts
from shared.features.keys import keys_of
from shared.features.life import life_of, returns_of
from shared.features.outcomes import Outcome, advance
from shared.features.verdicts import MARKER_KEY, VERDICT_KEY
from shared.ports.history import LIFE_KEY, Changes
from shared.scoring.conclusions import changes_of
from tests.contract.history_stores import SharedHistory, numbers
from tests.unit.streams import MORNING

Told = tuple[Event, Outcome]
_STATE = struct.Struct("<Iq")  # version and place of a value that is not a life


def life_key(pix: Event) -> str:
    return LIFE_KEY + pix.end_to_end_id


def outcome_changes(values: Sequence[bytes | None], told: Sequence[Told]) -> Changes:
    """Return the changes of stored lives by one outcome each."""
    lives = np.concatenate([life_of(value) for value in values if value])
    returns = [returns_of(value) for value in values if value]
    after = advance(lives, [outcome for _, outcome in told], returns=returns)
    return changes_of([pix.end_to_end_id for pix, _ in told], lives, after, np.flatnonzero(after.place_at >= 0))


async def tell(history: SharedHistory, told: Sequence[Told]) -> list[int]:
    """Change the lives of known Pix; return the number of the place of each change."""
    values = await history.find([life_key(pix) for pix, _ in told])
    return numbers((await history.change(outcome_changes(values, told))).places)


def state_change(key: str, expected: int, facts: Facts) -> Changes:
    """Return the change of a value with that version, by facts."""
    value = _STATE.pack(expected + 1, 0)
    return Changes([key], [expected], [value], [4], facts, np.zeros(len(facts), dtype=np.int64))


def verdict(pix: Event, fraud: bool, hours: float, expected: int = 0, sign: int = 1) -> Changes:
    """Return the change by a verdict, or by taking it back."""
    count = VerdictCount(pix.payer_id, pix.payee_id, pix.device_id, MORNING + round(hours * 3.6e9), fraud, sign)
    return state_change(VERDICT_KEY + pix.end_to_end_id, expected, verdict_facts([count]))


def marker(holder: str, report: str, expected: int = 0, sign: int = 1) -> Changes:
    """Return the change by a fraud marker of a person or key, or by its end."""
    facts = marker_facts(keys_of([holder]), np.array([MORNING * 1e-6]), np.array([float(sign)]))
    return state_change(MARKER_KEY + report, expected, facts)


def state_of(value: bytes | None) -> tuple[int, int]:
    """Return version and place of a value that is not a life, zeros if it is missing."""
    version, place = _STATE.unpack(value) if value else (0, 0)
    return version, place


def joined(*changes: Changes) -> Changes:
    """Return changes of one value each as one call."""
    return Changes(
        [key for each in changes for key in each.keys],
        [version for each in changes for version in each.expected],
        [value for each in changes for value in each.values],
        [at for each in changes for at in each.place_at],
        Facts.joined([each.facts for each in changes]),
        np.concatenate([each.of + i for i, each in enumerate(changes)]),
    )
