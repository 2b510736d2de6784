"""The wire format between the client and history.lua. Numbers are little-endian, keys 8 bytes."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.features.columns import Events
from shared.features.facts import Facts
from shared.features.history import READ_WIDTH
from shared.features.keys import Keys, keys_of
from shared.features.state import LAYOUT_ID
from shared.features.verdicts import AppliedVerdict
from shared.ports import STORED, UNCOUNTED, Claim, Observations, PixVerdict

Argument = bytes | str | int

SEQUENCE_KEY = f"{{pix:{LAYOUT_ID[:8]}}}n"
"""The key by which the script is called; its hash tag, which all keys share, changes with the layout of records."""

CLAIM = np.dtype(
    [
        ("sequence", "<f8"),
        ("scored_at", "<i8"),
        ("key_version", "<u4"),
        ("print", "<u8"),
        ("reads", "<f4", (READ_WIDTH,)),
    ]
)
"""Head of a claim; the model version follows."""
CLAIM_LETTER = "e" + hashlib.sha256(repr(CLAIM.descr).encode()).hexdigest()[:4]
"""Prefix of the EndToEndId in the key of a claim. It changes with the layout of claims, so that two revisions that
share a store never misread each other's.
"""
_NO_KEY = 0
"""The key version of a claim that is not compared with later messages."""
NEVER = UNCOUNTED
"""The sequence of a verdict that was not counted."""
_VERDICT = struct.Struct("<cdd")


def observe_arguments(
    events: Events, fingerprints: Keys, claim: Claim, claim_seconds: int, record_seconds: int
) -> list[Argument]:
    """Return the arguments of `observe`; `fingerprints` are those of the events."""
    facts = Facts.of_events(events.columns)
    keys = np.stack((facts.payer, facts.payee, facts.pair, facts.handset, facts.device), axis=1)
    numbers = np.concatenate((facts.at[:, None], facts.weights, facts.marks), axis=1)
    return [
        *("observe", claim_seconds, record_seconds),
        *(struct.pack("<qI", claim.scored_at, claim.key_version), claim.model_version or ""),
        *(fingerprints.astype("<u8").tobytes(), keys.astype("<u8").tobytes(), numbers.astype("<f8").tobytes()),
        *(event.end_to_end_id for event in events),
    ]


def observations(claims: Sequence[bytes], fingerprints: Keys, own: Claim) -> Observations:
    """Decode the answer of `observe` about the events of these fingerprints."""
    head = np.frombuffer(b"".join([claim[: CLAIM.itemsize] for claim in claims]), dtype=CLAIM)
    versions = [claim[CLAIM.itemsize :].decode() or None for claim in claims]
    return Observations(
        head["reads"].astype(np.float32),
        head["sequence"].astype(np.int64),
        [
            Claim(*each)
            for each in zip(versions, head["scored_at"].tolist(), head["key_version"].tolist(), strict=True)
        ],
        (head["print"] != fingerprints) & (head["key_version"] == own.key_version),
    )


def verdict_arguments(verdicts: Sequence[PixVerdict], record_seconds: int) -> list[Argument]:
    """Return the arguments of the script's command that counts verdicts."""
    keys = keys_of([id_ or "" for verdict in verdicts for id_ in verdict.parties]).astype("<u8")
    arguments: list[Argument] = ["tell", record_seconds]
    for (end_to_end_id, _, reported), own in zip(verdicts, keys.reshape(-1, 3), strict=True):
        arguments += [end_to_end_id, reported.verdict.value[:1], reported.reported_at, own.tobytes()]
    return arguments


def sequences(counted: Iterable[int]) -> list[int | None]:
    """Decode the answer to `verdict_arguments`; None is a verdict that changes nothing."""
    return [None if each == NEVER else each for each in counted]


def fill_arguments(
    letter: str, keys: NDArray[np.uint64], records: NDArray[np.float64], record_seconds: int
) -> list[Argument]:
    """Return the arguments of `fill`."""
    return ["fill", record_seconds, letter, keys.astype("<u8").tobytes(), records.astype("<f8").tobytes()]


def settle_arguments(end_to_end_ids: Sequence[str], claim_seconds: int) -> list[Argument]:
    """Return the arguments of `settle`."""
    stored = np.array([(STORED, 0, _NO_KEY, 0, np.full(READ_WIDTH, np.nan))], dtype=CLAIM).tobytes()
    return ["settle", claim_seconds, stored, *end_to_end_ids]


def encode_verdict_log(log: Iterable[AppliedVerdict]) -> bytes:
    """Encode the verdict log of one Pix."""
    return b"".join(
        _VERDICT.pack(report.verdict.value[:1].encode(), report.reported_at, NEVER if sequence is None else sequence)
        for report, sequence in log
    )
