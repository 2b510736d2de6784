"""Remove bundles that nothing points to.

A promotion may prove a bundle while it is being removed. So a version is first named in the pointer as retiring, at
the generation that was read, and only then deleted: whoever read the pointer before fails to move it, whoever reads
it after is refused. The manifest goes first, so that what is half deleted is never taken for whole.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

import msgspec
from msgspec import Struct

from shared.contract.event import EPOCH, micros
from shared.contract.rows import LedgerRow
from shared.errors import PreconditionFailed
from shared.learning.lifecycle.pointer import PointerState, standing, write_pointer
from shared.learning.ports import Ledger
from shared.ports import Blobs, Listed, Shelf
from shared.scoring.bundle import MANIFEST, POINTER, Pointer, path

log = logging.getLogger(__name__)

FOLDER = "models/"
UNFINISHED_FOR = dt.timedelta(days=1)
"""A bundle without a manifest may still be on its way for so long."""


class Retention(Struct, frozen=True):
    """What is kept beside what serves: the last `keep` whole bundles, and what the ledger names since `days`."""

    keep: int
    days: float


class Version(NamedTuple):
    """A bundle in the bucket: whether it is whole, and when its last object was written."""

    name: str
    whole: bool
    updated_at: dt.datetime


class Retirement(NamedTuple):
    """What becomes of a version, and why."""

    version: str
    kept: bool
    reason: str


class Retiring(NamedTuple):
    """Everything that a retirement touches, and who does it."""

    blobs: Blobs
    shelf: Shelf
    ledger: Ledger
    clock: Callable[[], dt.datetime]
    actor: str


def plan(retiring: Retiring, limits: Retention) -> tuple[PointerState, list[Retirement]]:
    """Return the pointer, and what is to become of each version. Raises Unavailable, BundleRefused."""
    read, now = standing(retiring.blobs), retiring.clock()
    found = versions(retiring.shelf.listed(FOLDER))
    rows = retiring.ledger.rows(now - dt.timedelta(days=limits.days))
    named = {version for row in rows if row.action != "RETIRE" for version in (row.from_version, row.to_version)}
    return read, fates(found, read, {version for version in named if version}, limits, now)


def versions(objects: Iterable[Listed]) -> list[Version]:
    """Return the bundles that objects belong to, by name."""
    found: dict[str, Version] = {}
    for name, updated_at in objects:
        if name == POINTER:
            continue
        version = name.removeprefix(FOLDER).partition("/")[0]
        before = found.get(version, Version(version, False, updated_at))
        whole = before.whole or name == path(version, MANIFEST)
        found[version] = Version(version, whole, max(before.updated_at, updated_at))
    return [found[name] for name in sorted(found)]


def fates(
    found: list[Version], read: PointerState, named: set[str], limits: Retention, now: dt.datetime
) -> list[Retirement]:
    """Return what is to become of each version; without a pointer all are kept."""
    whole = sorted((version for version in found if version.whole), key=lambda version: version.updated_at)
    last = {version.name for version in whole[max(0, len(whole) - limits.keep) :]}
    return [_fate(version, read, last, named, limits, now) for version in found]


def _fate(
    version: Version, read: PointerState, last: set[str], named: set[str], limits: Retention, now: dt.datetime
) -> Retirement:
    if read.pointer is None:
        return Retirement(version.name, True, "no model serves yet")
    if version.name in (read.pointer.version, read.pointer.previous):
        return Retirement(version.name, True, "the pointer names it")
    if version.name in read.pointer.retiring:
        return Retirement(version.name, False, "its removal was cut off")
    if not version.whole:
        young = now - version.updated_at < UNFINISHED_FOR
        return Retirement(version.name, young, "it may still be on its way" if young else "it was never finished")
    if version.name in last:
        return Retirement(version.name, True, f"one of the last {limits.keep}")
    if version.name in named:
        return Retirement(version.name, True, f"the ledger names it within {limits.days:g} days")
    return Retirement(version.name, False, f"nothing has named it for {limits.days:g} days")


def retire(retiring: Retiring, read: PointerState, found: list[Retirement]) -> list[str]:
    """Remove the versions that are not kept, and return them.

    Raises PreconditionFailed if somebody moved the pointer meanwhile: then nothing was removed. Raises Unavailable;
    running again goes on.
    """
    leaving = [fate for fate in found if not fate.kept]
    gone = set(read.pointer.retiring) - {fate.version for fate in found} if read.pointer else set()
    if not leaving and not gone:
        return []
    names = [fate.version for fate in leaving]
    _announce(retiring.blobs, read, names)
    written = {row.to_version for row in retiring.ledger.rows(EPOCH) if row.action == "RETIRE"}
    for fate in leaving:
        if fate.version not in written:
            retiring.ledger.append(_row(retiring, fate))
        retiring.shelf.delete(path(fate.version, MANIFEST))
        retiring.shelf.delete(path(fate.version, ""))
        log.info("retired", extra={"fields": {"version": fate.version, "reason": fate.reason}})
    _withdraw(retiring.blobs, {*names, *gone})
    return names


def _announce(blobs: Blobs, read: PointerState, leaving: list[str]) -> None:
    """Name versions in the pointer as retiring, if it still stands as it was read."""
    if read.pointer is None:
        raise AssertionError("without a pointer all is kept")
    try:
        write_pointer(blobs, _retiring(read.pointer, {*read.pointer.retiring, *leaving}), read)
    except PreconditionFailed as error:
        raise PreconditionFailed("the pointer moved meanwhile; nothing was removed") from error


def _withdraw(blobs: Blobs, gone: set[str]) -> None:
    """Forget in the pointer what is gone; if the pointer moves meanwhile, that is left to the next run."""
    read = standing(blobs)
    if read.pointer is None:
        return
    with suppress(PreconditionFailed):
        write_pointer(blobs, _retiring(read.pointer, set(read.pointer.retiring) - gone), read)


def _retiring(pointer: Pointer, names: set[str]) -> Pointer:
    return msgspec.structs.replace(pointer, retiring=sorted(names))


def _row(retiring: Retiring, fate: Retirement) -> LedgerRow:
    return LedgerRow(micros(retiring.clock()), "RETIRE", retiring.actor, fate.reason, to_version=fate.version)
