"""The life of a Pix in a store of history, from the ask to its outcomes, as one value for each EndToEndId.

A value is a record of LIFE, followed by the returns of the Pix, if any, and then by a claim for each side that has
scored it. It starts with its version, by which a store changes it only if nobody else did.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.columns import Columns
from shared.features.layout import READ_WIDTH

UNCOUNTED = -1
"""The place of a Pix that history claimed while it was empty: neither read nor counted."""
STORED = -2
"""The place of a Pix whose row is stored already, so that there is nothing to decide."""
WORDS = 6
"""Statements that a life remembers besides returns, each once: settled, refused, blocked, released, and the decision
of each side."""
MOST_RETURNS = 100
"""Returns of a Pix that count. Each takes 16 bytes of its life, and with several shards 0.6 kB beside it."""
OLD, NIGHT, RETURN, REBUILT, RECOUNTED, AUTOMATIC = 1, 2, 4, 8, 16, 32
"""Flags: dated days before it was scored, so that it is nobody's first; counted in the sum of the night; the return
of another Pix or a refund under the MED, which counts as no sale; rebuilt from its rows, with the features IMPLIED in
the place of reads; counted again by a shard that had lost its part of the ask, with the reads of the first time; Pix
Automático, which no sum of limits holds."""
OLD_SECONDS = 3 * 86_400.0
"""A Pix that is dated longer before its scoring raises no first mark, which only ever grow."""

_STATEMENT = np.dtype([("hash", "<u8"), ("place", "<i8")])
LIFE = np.dtype(
    [
        ("version", "<u4"),
        ("place", "<i8"),  # of the ask in the order of history, UNCOUNTED or STORED
        ("keys", "<u8", (4,)),  # payer, payee, device and customer
        ("at", "<i8"),  # microseconds since the epoch, when it was initiated
        ("amount", "<i8"),  # centavos
        ("flags", "u1"),
        ("summed", "u1"),  # whether sums of limits hold it
        ("blocked", "u1"),  # whether its amount is blocked at the payee's institution
        ("assumed", "u1"),  # whether it settled by our decision alone, which no outcome has confirmed
        ("settled_at", "<i8"),  # microseconds since the epoch, 0: not settled
        ("returned", "<i8"),  # centavos, also before it is known to have settled
        ("outcomes", _STATEMENT.descr, (WORDS,)),
        ("reads", "<f4", (READ_WIDTH,)),  # of the ask
    ]
)
Lives = NDArray[np.void]
"""Records of LIFE [n]."""
VERSION_AT, PLACE_AT, FLAGS_AT, READS_AT = (LIFE.fields[name][1] for name in ("version", "place", "flags", "reads"))  # type: ignore[index]  # numpy's stubs: fields may be None
_CLAIM = struct.Struct("<cBHqIQQH")
_ANSWER = struct.Struct("<cH")
RETURNS_LETTER = b"d"
"""The letter of the returns in a value, which have the head of an answer."""
MOST_ASKED = 65_535
"""The number of a claim from which further questions of the side are not counted: it has two bytes."""
STATEMENT_BYTES = 8
"""Of an outcome or decision in a life, its hash, which stands before its place."""
ENTRY = _STATEMENT.itemsize
"""Bytes of an outcome or decision in a life."""
SIDE_LETTERS = {"PAYER": b"P", "PAYEE": b"R"}
"""The letter of each side in a claim: who pays, and who receives. An answer has the small letter."""
Returns = NDArray[np.void]
"""The returns [n] that the life of a Pix remembers, each by the hash of its id and its place."""
NO_RETURNS: Returns = np.empty(0, dtype=_STATEMENT)
RETURNS_AT = LIFE.itemsize + _ANSWER.size
"""The offset of the returns in a value."""
_SIDES = {letter: side for side, letter in SIDE_LETTERS.items()}
LIFE_ID = hashlib.sha256(repr((LIFE.descr, _CLAIM.format, _ANSWER.format, RETURNS_LETTER)).encode()).hexdigest()[:4]
"""Identity of the format: stores put it into their keys, so that two revisions never misread each other's lives."""


class SideClaim(NamedTuple):
    """The first decision of one side about a Pix."""

    side: str
    scored_at: int
    """Microseconds since the epoch."""
    key_version: int
    """Version of the HMAC key."""
    fingerprint: int
    """Of the message, by `Columns.fingerprints`: which Pix it names."""
    digest: int
    """Of every fact of the message, by `Events.digests`."""
    model_version: str | None
    """The champion at that time, None if there was no model; as in `shared.ports.history.Claim`."""
    number: int = 1
    """Times that the side has asked."""
    stored: bool = False
    """Whether the row of the side is stored, so that there is nothing to decide."""
    answer: bytes | None = None
    """The decision, where its row could not be stored."""

    def contradicts(self, other: SideClaim) -> bool:
        """Return whether another message claims the same id, as far as one key version can tell.

        A message that differs in other facts than those that identify a Pix is answered by a stored row.
        """
        if self.key_version != other.key_version:
            return False
        return self.fingerprint != other.fingerprint or (self.digest != other.digest and not self.stored)

    def encode(self) -> bytes:
        """Return the bytes of the claim, without its answer."""
        version, letter = (self.model_version or "").encode(), SIDE_LETTERS[self.side]
        return (
            _CLAIM.pack(
                *(letter, self.stored, self.number, self.scored_at, self.key_version, self.fingerprint, self.digest),
                len(version),
            )
            + version
        )


def stored_claims(sides: Iterable[str]) -> bytes:
    """Return the claims of sides whose rows are stored, so that a redelivery is not decided again."""
    return b"".join(SideClaim(side, 0, NO_KEY, 0, 0, None, stored=True).encode() for side in sides)


def encoded_answer(side: str, answer: bytes) -> bytes:
    """Return the bytes of an answer, as they stand behind the claims of a life."""
    return _ANSWER.pack(SIDE_LETTERS[side].lower(), len(answer)) + answer


def encoded_returns(returns: Returns) -> bytes:
    """Return the bytes of returns, as they stand behind the record of a life; none take none."""
    data = returns.tobytes()
    return _ANSWER.pack(RETURNS_LETTER, len(data)) + data if data else b""


def returns_of(value: bytes | bytearray) -> Returns:
    """Return the returns of a value, a copy."""
    return np.frombuffer(bytes(value[RETURNS_AT : claims_at(value)]), dtype=_STATEMENT).copy()


def claims_at(value: bytes | bytearray) -> int:
    """Return the offset of the claims of a value, which stand behind its returns."""
    if value[LIFE.itemsize : LIFE.itemsize + 1] != RETURNS_LETTER:
        return LIFE.itemsize
    return RETURNS_AT + int(_ANSWER.unpack_from(value, LIFE.itemsize)[1])


NO_KEY = 0
"""The key version of a claim whose message is not known: it is compared with no later message."""


def answers(lives: Lives, stored: Sequence[bool]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the reads [n, READ_WIDTH] and places [n] that lives give to sides whose rows are `stored` or not.

    A side whose row is stored has the place STORED. The reads of a life that was lost and rebuilt are lost, so the
    other side is UNCOUNTED.
    """
    known = np.array(stored, dtype=bool)
    lost = (lives["flags"] & REBUILT) > 0
    reads, places = np.ascontiguousarray(lives["reads"]).reshape(-1, READ_WIDTH), lives["place"].copy()
    if lost.any():
        reads = np.where(lost[:, None], np.float32(np.nan), reads)
    places[(lost | (places == STORED)) & ~known] = UNCOUNTED
    places[known] = STORED
    return reads, places


def asked(columns: Columns, scored_at: int | NDArray[np.int64]) -> Lives:
    """Return the lives [n] of Pix as they are asked for at `scored_at`, microseconds, without places and reads."""
    lives = np.zeros(len(columns), dtype=LIFE)
    lives["version"], lives["place"] = 1, UNCOUNTED
    for place, keys in enumerate((columns.payer, columns.payee, columns.device, columns.customer)):
        lives["keys"][:, place] = keys
    lives["at"] = np.rint(columns.at * 1e6)
    lives["amount"] = np.rint(columns.amount * 100)
    old = np.asarray(scored_at) * 1e-6 - columns.at > OLD_SECONDS
    flags = OLD * old + NIGHT * columns.counts_at_night + RETURN * columns.is_return
    lives["flags"] = flags + AUTOMATIC * columns.automatic
    lives["summed"] = ~columns.is_return
    return lives


def claims_of(value: bytes) -> dict[str, SideClaim]:
    """Return the claims of a value by side, with their answers."""
    found: dict[str, SideClaim] = {}
    at = claims_at(value)
    while at < len(value):
        letter = value[at : at + 1]
        side = _SIDES[letter.upper()]
        if letter in _SIDES:
            _, stored, number, scored_at, key_version, fingerprint, digest, length = _CLAIM.unpack_from(value, at)
            at += _CLAIM.size
            version = value[at : at + length].decode() or None
            found[side] = SideClaim(
                *(side, scored_at, key_version, fingerprint, digest, version, number), stored=bool(stored)
            )
        else:
            length = _ANSWER.unpack_from(value, at)[1]
            at += _ANSWER.size
            found[side] = found[side]._replace(answer=value[at : at + length])
        at += length
    return found


def in_turn(claims: Mapping[str, SideClaim]) -> dict[str, SideClaim]:
    """Return claims by side, in the order in which a life has them, each scored after the one before.

    The clocks of instances differ, and the first row of a Pix, by which a replay counts it, is that of the side that
    asked first.
    """
    found, last = {}, -1
    for side, claim in claims.items():
        last = max(claim.scored_at, last + 1)
        found[side] = claim._replace(scored_at=last)
    return found


def mark_stored(value: bytearray, side: str) -> None:
    """Note in a value, in place, that the row of a side is stored; without a claim of that side it stays as it is.

    It is told of each Pix, so the claims are passed over and not read.
    """
    letter, at = SIDE_LETTERS[side][0], claims_at(value)
    while at < len(value):
        if value[at] == letter:
            value[at + 1] = 1
            return
        head = _CLAIM if bytes(value[at : at + 1]) in _SIDES else _ANSWER
        at += head.size + head.unpack_from(value, at)[-1]


def life_of(value: bytes) -> Lives:
    """Return the life [1] of a value, a copy."""
    return np.frombuffer(value[: LIFE.itemsize], dtype=LIFE).copy()
