"""Outcomes of a Pix, and the facts by which they change history.

Outcomes may come in any order and any number of times, and each counts once. A settlement outweighs a refusal; a
refusal outweighs a settlement that was only assumed; a return that comes before the settlement waits in the life.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.rows import OutcomeRow
from shared.features.arrays import Floats
from shared.features.facts import IMPLIED, Facts, Settlements, blocks, extras, implied_features, sums
from shared.features.life import (
    AUTOMATIC,
    ENTRY,
    LIFE,
    MOST_RETURNS,
    NIGHT,
    NO_RETURNS,
    OLD,
    REBUILT,
    RETURN,
    RETURNS_AT,
    STATEMENT_BYTES,
    Lives,
    Returns,
)

PLACE_AT = LIFE.fields["outcomes"][1] + STATEMENT_BYTES  # type: ignore[index]  # numpy's stubs: fields may be None
_CENTAVO = 0.01
_MICRO = 1e-6
_DECIDED = {"PAYER": "decided by the payer's side", "PAYEE": "decided by the payee's side"}
REFUSALS = ("REJECTED", "EXPIRED", "CANCELLED")
_WORDS = dict.fromkeys(REFUSALS, "REFUSED")
"""Statuses that mean the same to history."""


class Effect(IntEnum):
    """Change of history by an outcome."""

    NONE = 0
    SETTLED = 1
    SETTLED_AFTER_REFUSAL = 2
    REFUSED = 3
    RETURNED = 4
    BLOCKED = 5
    RELEASED = 6
    TAKEN_BACK = 7


class Outcome(NamedTuple):
    """An outcome of a Pix: its status at `at` (microseconds since the epoch).

    A return has an id and an amount, in centavos.
    """

    status: str
    at: int
    return_id: str | None = None
    amount: int = 0

    @classmethod
    def of(cls, row: OutcomeRow) -> Outcome:
        """Return the outcome in a row of `pix.outcomes`."""
        return cls(row.status, row.at, row.return_id, row.amount or 0)

    @property
    def hash(self) -> int:
        """Identity of the outcome among those of its Pix: a return by its id, any other by its status."""
        return outcome_hash(self.return_id if self.return_id else _WORDS.get(self.status, self.status))


class Advance(NamedTuple):
    """Lives [n] after an outcome each, with the change of history.

    `known` [n] is the place of an outcome that was counted before, NO_ROOM of a return that cannot be, -1 for any
    other; `place_at` [n] the offset in the value at which a store writes the place of the change, -1 if nothing is to
    be stored. `of` [m] is the index of the life of each fact. `returns` [n] are those of each life; without a list of
    them, they stay as they are.
    """

    lives: Lives
    known: NDArray[np.int64]
    place_at: NDArray[np.int64]
    facts: Facts
    of: NDArray[np.int64]
    returns: Sequence[Returns] = ()


NO_ROOM = -6
"""The place of a return that changes nothing, as its life has MOST_RETURNS others."""


def advance(
    lives: Lives, outcomes: Sequence[Outcome], extra: Floats | None = None, returns: Sequence[Returns] | None = None
) -> Advance:
    """Return lives [n], which have `returns` [n] or none, after one outcome each; `lives` stay as they are.

    The weights of a settlement that depend on history are `extra` [n, len(EXTRAS)], or follow from the reads.

    A life that history did not count, or that is itself a return, changes nothing.
    """
    after = lives.copy()
    known, place_at = np.full(len(after), -1, dtype=np.int64), np.full(len(after), -1, dtype=np.int64)
    effects, before = np.zeros(len(after), dtype=np.int8), after["returned"].copy()
    remembered = [*returns] if returns else [NO_RETURNS] * len(after)
    for i, (life, outcome) in enumerate(zip(after, outcomes, strict=True)):
        statements = remembered[i] if outcome.return_id else life["outcomes"]
        found = np.flatnonzero(statements["hash"] == outcome.hash)
        if len(found):
            known[i] = int(statements["place"][found[0]])
        elif life["place"] < 0 or life["flags"] & RETURN:
            continue
        elif outcome.return_id and len(statements) >= MOST_RETURNS:
            known[i] = NO_ROOM
        else:
            effects[i] = _apply(life, outcome)
            remembered[i], place_at[i] = _noted(life, remembered[i], outcome)
    after["version"][place_at >= 0] += 1
    facts, of = _facts(after, effects, before, extra)
    return Advance(after, known, place_at, facts, of, remembered)


def _noted(life: np.void, returns: Returns, outcome: Outcome) -> tuple[Returns, int]:
    """Note an outcome without a place; return the returns of the life, and the offset of the place in its value."""
    if outcome.return_id:
        new = np.array([(outcome.hash, -1)], dtype=returns.dtype)
        return np.concatenate((returns, new)), RETURNS_AT + ENTRY * len(returns) + STATEMENT_BYTES
    free = int(np.count_nonzero(life["outcomes"]["hash"]))
    life["outcomes"]["hash"][free], life["outcomes"]["place"][free] = outcome.hash, -1
    return returns, PLACE_AT + ENTRY * free


UNDECIDED = -4
"""The place of a decision that is not written into its life yet."""


def decided(lives: Lives, sides: Sequence[str], settles: NDArray[np.bool_]) -> Advance:
    """Return lives [n] after a decision of a side each, which none of them knows yet.

    A Pix that `settles` does so by assumption unless another word was first; any other leaves the sums of limits, and
    takes back the assumption of the other side.
    """
    after = lives.copy()
    after["version"] += 1
    log, rows = after["outcomes"], np.arange(len(after))
    free = np.count_nonzero(log["hash"], axis=1)
    log["hash"][rows, free], log["place"][rows, free] = _decisions(sides), -1
    open_, summed = after["settled_at"] == 0, after["summed"] > 0
    sold, out, wrong = settles & open_ & summed, ~settles & open_ & summed, ~settles & (after["assumed"] > 0)
    after["settled_at"][sold] = after["at"][sold]
    after["assumed"][sold], after["assumed"][wrong] = 1, 0
    after["summed"][out | wrong] = 0
    effects = np.full(len(after), Effect.NONE, dtype=np.int8)
    effects[wrong], effects[out], effects[sold] = Effect.TAKEN_BACK, Effect.REFUSED, Effect.SETTLED
    facts, of = _facts(after, effects, after["returned"])
    none = np.full(len(after), -1, dtype=np.int64)
    return Advance(after, none, PLACE_AT + ENTRY * free.astype(np.int64), facts, of)


def decided_at(lives: Lives, sides: Sequence[str]) -> NDArray[np.int64]:
    """Return the place [n] of the change by each side's decision, -1 for none, UNDECIDED where it is to be made."""
    found = lives["outcomes"]["hash"] == _decisions(sides)[:, None]
    places = np.where(found, lives["outcomes"]["place"], -1).max(axis=1)
    countable = (lives["place"] >= 0) & ((lives["flags"] & RETURN) == 0)
    return np.where(found.any(axis=1) | ~countable, places, UNDECIDED)


def _decisions(sides: Sequence[str]) -> NDArray[np.uint64]:
    hashes = {side: outcome_hash(word) for side, word in _DECIDED.items()}
    return np.array([hashes[side] for side in sides], dtype=np.uint64)


def _apply(life: np.void, outcome: Outcome) -> Effect:
    """Write an outcome into a life, and return its effect on history."""
    match _WORDS.get(outcome.status, outcome.status):
        case "SETTLED":
            return _settle(life, outcome.at)
        case "REFUSED":
            return _refuse(life)
        case "RETURNED":
            life["returned"] = min(int(life["returned"]) + outcome.amount, int(life["amount"]))
            return Effect.RETURNED if life["settled_at"] else Effect.NONE
        case "BLOCKED":
            life["blocked"] = 1
            return Effect.NONE if _has(life, "RELEASED") else Effect.BLOCKED
        case _:
            was_blocked, life["blocked"] = bool(life["blocked"]), 0
            return Effect.RELEASED if was_blocked else Effect.NONE


def _settle(life: np.void, at: int) -> Effect:
    life["assumed"] = 0
    if life["settled_at"]:
        return Effect.NONE
    was_refused, life["summed"], life["settled_at"] = not life["summed"], 1, at
    return Effect.SETTLED_AFTER_REFUSAL if was_refused else Effect.SETTLED


def _refuse(life: np.void) -> Effect:
    if life["assumed"]:
        life["assumed"], life["summed"] = 0, 0
        return Effect.TAKEN_BACK
    if life["settled_at"] or not life["summed"]:
        return Effect.NONE
    life["summed"] = 0
    return Effect.REFUSED


def _has(life: np.void, word: str) -> bool:
    return bool(np.any(life["outcomes"]["hash"] == outcome_hash(word)))


def _facts(
    lives: Lives, effects: NDArray[np.int8], returned: NDArray[np.int64], extra: Floats | None = None
) -> tuple[Facts, NDArray[np.int64]]:
    """Return the facts of effects on lives [n], whose returned centavos were `returned` [n] before."""
    if (effects == Effect.SETTLED).all() and not returned.any():  # of most batches of decisions
        return settlements_of(lives, extra).counted(), np.arange(len(lives))
    parts, of = [Facts.blank(np.empty(0))], [np.empty(0, dtype=np.int64)]

    def add(rows: NDArray[np.int64], facts: Facts) -> None:
        parts.append(facts)
        of.append(rows)

    def sold(rows: NDArray[np.int64]) -> Settlements:
        return settlements_of(lives[rows], None if extra is None else extra[rows])

    refused, late = np.flatnonzero(effects == Effect.REFUSED), np.flatnonzero(effects == Effect.SETTLED_AFTER_REFUSAL)
    for rows, sign in ((refused, -1.0), (late, 1.0)):
        if len(rows):
            add(rows, _sums(lives[rows], sign))
    settled = np.flatnonzero((effects == Effect.SETTLED) | (effects == Effect.SETTLED_AFTER_REFUSAL))
    if len(settled):
        add(settled, sold(settled).counted())
        early = np.flatnonzero(returned[settled] > 0)
        if len(early):
            add(settled[early], _returned(lives[settled[early]], sold(settled[early]), np.zeros(len(early))))
    wrong = np.flatnonzero(effects == Effect.TAKEN_BACK)
    if len(wrong):
        add(wrong, _sums(lives[wrong], -1.0))
        add(wrong, _unsettled(lives[wrong], sold(wrong)))
        lives["settled_at"][wrong] = 0
    back = np.flatnonzero(effects == Effect.RETURNED)
    if len(back):
        add(back, _returned(lives[back], sold(back), returned[back]))
    for effect, sign in ((Effect.BLOCKED, 1.0), (Effect.RELEASED, -1.0)):
        rows = np.flatnonzero(effects == effect)
        if len(rows):
            add(rows, blocks(lives["keys"][rows], _asked_at(lives[rows]), sign * lives["amount"][rows] * _CENTAVO))
    every = np.concatenate(of)
    order = np.argsort(every, kind="stable")
    return Facts.joined(parts, order), every[order]


def implied_by(lives: Lives) -> NDArray[np.float32]:
    """Return the features IMPLIED [n, 7] of the asks of lives."""
    found = implied_features(lives["reads"], lives["amount"] * _CENTAVO)
    rebuilt = (lives["flags"] & REBUILT) > 0
    if rebuilt.any():
        found[rebuilt] = lives["reads"][rebuilt, : len(IMPLIED)]
    return found


def settlements_of(lives: Lives, extra: Floats | None = None) -> Settlements:
    """Return the settlements of lives that settled, with the weights `extra`, or those that follow from the reads."""
    amount = lives["amount"] * _CENTAVO
    return Settlements(
        np.ascontiguousarray(lives["keys"]),
        lives["settled_at"] * _MICRO,
        amount,
        extras(implied_by(lives), amount) if extra is None else extra,
        (lives["flags"] & OLD) == 0,
    )


def _returned(lives: Lives, sold: Settlements, before: NDArray[np.float64] | NDArray[np.int64]) -> Facts:
    amount = lives["amount"]
    return sold.changed((amount - before) * _CENTAVO, (amount - lives["returned"]) * _CENTAVO)


def _unsettled(lives: Lives, sold: Settlements) -> Facts:
    net = (lives["amount"] - lives["returned"]) * _CENTAVO
    return sold.changed(net, np.zeros(len(lives)), returned=False)


def _sums(lives: Lives, sign: float) -> Facts:
    night, limited = (lives["flags"] & NIGHT) > 0, (lives["flags"] & AUTOMATIC) == 0
    return sums(np.ascontiguousarray(lives["keys"]), _asked_at(lives), sign * lives["amount"] * limited, night)


def _asked_at(lives: Lives) -> NDArray[np.float64]:
    return lives["at"] * _MICRO


def outcome_hash(word: str) -> int:
    """Return the hash of a word or of the id of a return, by which a life remembers an outcome."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little") | 1
