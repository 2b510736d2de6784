"""The pointer protocol in the bucket: read the pointer, compare and swap it, publish the files of a bundle.

A bundle is written once, its manifest last, so a manifest proves that the bundle is complete. The pointer is written
only on condition that its generation is still the one that was read, so if several jobs move it at the same time,
one wins and the rest change nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from shared.errors import BundleRefused, Misconfigured, PreconditionFailed
from shared.ports.blobs import Blobs
from shared.scoring.bundle import MANIFEST, POINTER, Manifest, Move, Pointer, path
from shared.scoring.bundle_files import VERSION
from shared.scoring.challenge import Challenge, ChallengeMove
from shared.scoring.champion import read_bundle

REASON_MAX = 2_000
"""Longest reason in the pointer, in characters: every function reads the pointer again and again."""


class PointerState(Struct, frozen=True):
    """The pointer and its generation as read; without a pointer, `pointer` is None and `generation` 0."""

    pointer: Pointer | None
    generation: int

    @property
    def version(self) -> str | None:
        """The version that serves, None if no model serves."""
        return self.pointer.version if self.pointer else None

    @property
    def moves(self) -> list[Move]:
        """The moves recorded in the pointer, oldest first: those the ledger may lack, then the last one."""
        if self.pointer is None:
            return []
        last = Move(*(getattr(self.pointer, name) for name in Move.__struct_fields__))
        return [*self.pointer.unrecorded, last]

    @property
    def steps(self) -> list[ChallengeMove]:
        """The steps of tests that the ledger may lack, oldest first."""
        return self.pointer.challenge_moves if self.pointer else []

    def after(self, at: dt.datetime) -> dt.datetime:
        """Return `at`, or a moment later than all that is recorded in the pointer: another job's clock may be ahead.

        So the times of moves and steps in the ledger are in their order.
        """
        times = [*(move.swapped_at for move in self.moves), *(step.at for step in self.steps)]
        if self.pointer and self.pointer.challenge:
            times.append(self.pointer.challenge.changed_at)
        return max([at, *(parse_time(each) + dt.timedelta(microseconds=1) for each in times)])


class MoveCause(NamedTuple):
    """When the pointer is moved, by whom, and why."""

    at: dt.datetime
    actor: str
    reason: str
    action: Literal["SWAP", "ROLLBACK"] = "SWAP"


class CompletedSwap(NamedTuple):
    """The pointer as written, and the manifest of the bundle it names."""

    pointer: Pointer
    manifest: Manifest


def read_pointer(blobs: Blobs) -> PointerState:
    """Return the pointer with its generation. Raises BundleRefused if it cannot be decoded, Unavailable."""
    blob = blobs.read(POINTER)
    if blob is None:
        return PointerState(None, 0)
    try:
        pointer = msgspec.json.decode(blob.data, type=Pointer)
        parse_time(pointer.swapped_at)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BundleRefused(f"{POINTER} is not a valid pointer: repair or delete it ({error})") from error
    return PointerState(pointer, blob.generation)


def parse_time(text: str) -> dt.datetime:
    """Return the time in ISO 8601 text, taken as UTC if it has no offset. Raises ValueError.

    >>> parse_time("2026-11-20T14:32:05")
    datetime.datetime(2026, 11, 20, 14, 32, 5, tzinfo=datetime.timezone.utc)
    """
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def publish(blobs: Blobs, version: str, files: Mapping[str, bytes]) -> None:
    """Write the files of a bundle; safe to repeat after an interruption. Raises PreconditionFailed, Unavailable."""
    for name in (*(name for name in files if name != MANIFEST), MANIFEST):
        write_object(blobs, path(version, name), files[name], if_generation=0)


def swap(
    blobs: Blobs, state: PointerState, version: str, cause: MoveCause, unrecorded: Sequence[Move] = ()
) -> CompletedSwap:
    """Point to `version` if the pointer is still in `state`; `unrecorded` are moves that the ledger may lack.

    The bundle is read back and verified first. The test of a challenger is one against the version that serves, so it
    ends with the swap. Raises PreconditionFailed if another job moved the pointer, or if the test of this very
    version has changed, BundleRefused, Unavailable.
    """
    while True:
        manifest, at = verified(blobs, state, version), state.after(cause.at).isoformat()
        pointer = Pointer(
            version=version,
            swapped_at=at,
            previous=state.version,
            action=cause.action,
            actor=cause.actor,
            reason=cause.reason[:REASON_MAX],
            unrecorded=list(unrecorded),
            retiring=state.pointer.retiring if state.pointer else [],
            challenge_moves=[*state.steps, *_ended(state, version, at, cause.actor)],
        )
        try:
            write_pointer(blobs, pointer, state)
        except PreconditionFailed as error:
            state = _reread(blobs, state, version, error)
        else:
            return CompletedSwap(pointer, manifest)


def write_pointer(blobs: Blobs, pointer: Pointer, state: PointerState) -> None:
    """Write the pointer if it is still in `state`. Raises PreconditionFailed, Unavailable."""
    write_object(blobs, POINTER, msgspec.json.encode(pointer), state.generation)


def previous_version(state: PointerState) -> str:
    """Return the version that served before the last move. Raises Misconfigured if there was none."""
    if state.pointer is None or state.pointer.previous is None:
        raise Misconfigured("the pointer names no previous version; use jobs.promote with a version")
    return state.pointer.previous


def verified(blobs: Blobs, state: PointerState, version: str) -> Manifest:
    """Return the manifest of a bundle that can serve. Raises BundleRefused, Unavailable."""
    if not re.fullmatch(VERSION, version):
        raise BundleRefused(f"{version!r} is not a valid version name")
    if state.pointer and version in state.pointer.retiring:
        raise BundleRefused(f"{version} is being retired")
    return read_bundle(blobs, version).manifest


def _ended(state: PointerState, version: str, at: str, actor: str) -> list[ChallengeMove]:
    """Return the step that ends the test of a pointer as it moves to `version`, if one runs."""
    challenge = state.pointer.challenge if state.pointer else None
    if challenge is None or state.version is None:
        return []
    reason = "promoted" if challenge.version == version else f"{version} serves instead of its champion"
    return [ChallengeMove("CHALLENGE_STOP", at, state.version, challenge.version, actor, reason, {"share": 0.0})]


def _reread(blobs: Blobs, state: PointerState, version: str, error: PreconditionFailed) -> PointerState:
    """Return the current pointer if only its list of retiring versions has changed, or the test of another version.

    Raises PreconditionFailed.
    """
    now = read_pointer(blobs)
    if now.moves[-1:] == state.moves[-1:] and _test_of(state, version) == _test_of(now, version):
        return now
    raise PreconditionFailed(
        f"the pointer moved since it named {state.version or 'no model'}; nothing was changed"
    ) from error


def _test_of(state: PointerState, version: str) -> Challenge | None:
    challenge = state.pointer.challenge if state.pointer else None
    return challenge if challenge and challenge.version == version else None


def write_object(blobs: Blobs, name: str, data: bytes, if_generation: int) -> None:
    """Write an object; finding exactly these bytes counts as success. Raises PreconditionFailed, Unavailable.

    An earlier attempt may have been stored although its response was lost.
    """
    try:
        blobs.write(name, data, if_generation)
    except PreconditionFailed:
        present = blobs.read(name)
        if present is None or present.data != data:
            raise
