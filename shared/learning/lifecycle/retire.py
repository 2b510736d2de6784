"""Remove model bundles that are no longer needed.

A promotion may verify a bundle while it is being removed. Therefore a version is first listed in the pointer as
retiring, on condition that the pointer is still as it was read, and only then deleted: a job that read the pointer
before fails to move it, a job that reads it afterwards is refused the version. The manifest is deleted first, so a
partly deleted bundle never counts as complete.

Listing writes the pointer, so it takes the key that signs it, and deleting does not. In production a retraining lists
the files that nobody needs, and `jobs.retire`, which may delete and write nothing, deletes them.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import NamedTuple

import msgspec
from msgspec import Struct

from shared.contract.event import EPOCH
from shared.errors import PreconditionFailed
from shared.learning.config import Retention
from shared.learning.lifecycle.ledger import retire_row
from shared.learning.lifecycle.pointer import PointerState, read_pointer, write_pointer
from shared.learning.lifecycle.reconcile import read_manifest, record_missing_moves, record_missing_publications
from shared.learning.ports import Ledger
from shared.ports.blobs import Blobs, Listed, Shelf
from shared.scoring.bundle import MANIFEST, POINTER, Pointer, path

log = logging.getLogger(__name__)

FOLDER = "models/"
UNFINISHED_FOR = dt.timedelta(days=1)
"""How long a bundle without a manifest may still be uploading; a retraining takes minutes."""


class StoredBundle(NamedTuple):
    """A bundle in the bucket: whether it has its manifest, and when its last object was written."""

    version: str
    complete: bool
    updated_at: dt.datetime


class Retirement(NamedTuple):
    """Whether a version is retained or removed, and why."""

    version: str
    retained: bool
    reason: str


class RetirementPlan(NamedTuple):
    """The pointer for which the plan holds, and a decision on each version in the bucket."""

    state: PointerState
    decisions: list[Retirement]

    @property
    def leaving(self) -> list[Retirement]:
        """The versions to remove."""
        return [each for each in self.decisions if not each.retained]


class RetirementResult(Struct, frozen=True):
    """The number of versions kept, and the versions removed; `outcome` is DRY_RUN, RETIRED or NOTHING_TO_DO."""

    outcome: str
    kept: int
    retired: list[str]


class Retiring(NamedTuple):
    """The ports of a retirement, who runs it, and whether that may sign the pointer."""

    blobs: Blobs
    shelf: Shelf
    ledger: Ledger
    clock: Callable[[], dt.datetime]
    actor: str
    signs: bool = True


def retire(
    retiring: Retiring,
    retention: Retention,
    show: Callable[[list[Retirement]], None],
    dry_run: bool = False,
) -> RetirementResult:
    """Remove the bundles outside `retention`; `show` is given all decisions before anything is removed.

    Who may not sign removes those that the pointer lists already.

    The work of killed jobs is finished first, as the ledger decides which versions are retained. A dry run changes
    nothing. Raises PreconditionFailed if another job moved the pointer: then nothing was removed. Raises
    BundleRefused, Unavailable; running again continues the removal.
    """
    if not dry_run:
        record_missing_moves(retiring.blobs, retiring.ledger, read_pointer(retiring.blobs))
        record_missing_publications(retiring.blobs, retiring.shelf, retiring.ledger)
    plan = read_plan(retiring, retention)
    show(plan.decisions)
    kept = sum(each.retained for each in plan.decisions)
    if dry_run:
        return RetirementResult("DRY_RUN", kept, [each.version for each in plan.leaving])
    removed = remove(retiring, plan) if retiring.signs else delete_listed(retiring, plan.state)
    return RetirementResult("RETIRED" if removed else "NOTHING_TO_DO", kept, removed)


def list_unneeded(retiring: Retiring, retention: Retention) -> list[str]:
    """List the bundles outside `retention` in the pointer as retiring, and return them.

    Those that are gone leave the list. If another job moves the pointer meanwhile, nothing is listed. Raises
    BundleRefused, Unavailable.
    """
    plan = read_plan(retiring, retention)
    versions = sorted(each.version for each in plan.leaving)
    if plan.state.pointer is None or versions == plan.state.pointer.retiring:
        return []
    with suppress(PreconditionFailed):
        write_pointer(retiring.blobs, _retiring(plan.state.pointer, set(versions)), plan.state)
        return versions
    return []


def delete_listed(retiring: Retiring, state: PointerState) -> list[str]:
    """Delete the bundles that the pointer lists as retiring, and return them. Raises Unavailable."""
    listed = state.pointer.retiring if state.pointer else []
    present = {bundle.version for bundle in stored_bundles(retiring.shelf.listed(FOLDER))}
    leaving = [Retirement(version, False, "a retraining listed it") for version in listed if version in present]
    _delete(retiring, leaving)
    return [each.version for each in leaving]


def read_plan(retiring: Retiring, retention: Retention) -> RetirementPlan:
    """Return the plan for the bundles in the bucket. Raises Unavailable, BundleRefused."""
    state, now = read_pointer(retiring.blobs), retiring.clock()
    bundles = stored_bundles(retiring.shelf.listed(FOLDER))
    rows = retiring.ledger.rows(now - dt.timedelta(days=retention.days))
    named = {version for row in rows if row.action != "RETIRE" for version in (row.from_version, row.to_version)}
    in_ledger = {version for version in named if version}
    return RetirementPlan(
        state, plan_retirement(bundles, state, in_ledger, retention, now, approved_fits(retiring.blobs, state))
    )


def approved_fits(blobs: Blobs, state: PointerState) -> set[str]:
    """Return the fits of which the versions in the pointer are refits: a challenger is compared with them."""
    pointer = state.pointer
    manifests = (read_manifest(blobs, version) for version in sorted(named_by(pointer) if pointer else ()))
    return {manifest.refit_of for manifest in manifests if manifest and manifest.refit_of}


def named_by(pointer: Pointer) -> set[str]:
    """Return the versions that a pointer names: champion, the one before, and the challenger that is tried."""
    tried = pointer.challenge.version if pointer.challenge else None
    return {version for version in (pointer.version, pointer.previous, tried) if version}


def stored_bundles(objects: Iterable[Listed]) -> list[StoredBundle]:
    """Return the bundles to which objects belong, by version."""
    bundles: dict[str, StoredBundle] = {}
    for name, updated_at in objects:
        if name == POINTER:
            continue
        version = name.removeprefix(FOLDER).partition("/")[0]
        before = bundles.get(version, StoredBundle(version, False, updated_at))
        complete = before.complete or name == path(version, MANIFEST)
        bundles[version] = StoredBundle(version, complete, max(before.updated_at, updated_at))
    return [bundles[version] for version in sorted(bundles)]


def plan_retirement(
    bundles: list[StoredBundle],
    state: PointerState,
    in_ledger: set[str],
    retention: Retention,
    now: dt.datetime,
    approved: Collection[str],
) -> list[Retirement]:
    """Return a decision on each bundle; without a pointer all are retained.

    `approved` are the fits of which the versions in the pointer are refits.
    """
    complete = sorted((bundle for bundle in bundles if bundle.complete), key=lambda bundle: bundle.updated_at)
    last = {bundle.version for bundle in complete[max(0, len(complete) - retention.keep) :]}
    return [_decide(bundle, state, last, in_ledger, retention, now, approved) for bundle in bundles]


def _decide(
    bundle: StoredBundle,
    state: PointerState,
    last: set[str],
    in_ledger: set[str],
    retention: Retention,
    now: dt.datetime,
    approved: Collection[str],
) -> Retirement:
    version = bundle.version
    if state.pointer is None:
        return Retirement(version, True, "no model serves yet")
    if version in named_by(state.pointer):
        return Retirement(version, True, "the pointer names it")
    if version in state.pointer.retiring:  # before all that follows: a bundle that is partly deleted cannot stay
        return Retirement(version, False, "its removal was interrupted")
    if version in approved:
        return Retirement(version, True, "a version in the pointer is its refit")
    if not bundle.complete:
        young = now - bundle.updated_at < UNFINISHED_FOR
        return Retirement(version, young, "it may still be uploading" if young else "its upload was never finished")
    if version in last:
        return Retirement(version, True, f"one of the last {retention.keep}")
    if version in in_ledger:
        return Retirement(version, True, f"the ledger names it within {retention.days:g} days")
    return Retirement(version, False, f"nothing has named it for {retention.days:g} days")


def remove(retiring: Retiring, plan: RetirementPlan) -> list[str]:
    """Remove the versions that the plan does not retain, and return them.

    Raises PreconditionFailed if another job moved the pointer: then nothing was removed. Raises Unavailable; running
    again continues the removal.
    """
    state, leaving = plan.state, plan.leaving
    gone = set(state.pointer.retiring) - {each.version for each in plan.decisions} if state.pointer else set()
    if not leaving and not gone:
        return []
    versions = [each.version for each in leaving]
    _list_as_retiring(retiring.blobs, state, versions)
    _delete(retiring, leaving)
    _unlist(retiring.blobs, {*versions, *gone})
    return versions


def _delete(retiring: Retiring, leaving: Collection[Retirement]) -> None:
    """Delete bundles that the pointer lists as retiring, after their rows are in the ledger. Raises Unavailable."""
    recorded = {row.to_version for row in retiring.ledger.rows(EPOCH) if row.action == "RETIRE"}
    for version, _, reason in leaving:
        if version not in recorded:
            retiring.ledger.append(retire_row(retiring.clock(), retiring.actor, reason, version))
        retiring.shelf.delete(path(version, MANIFEST))
        retiring.shelf.delete(path(version, ""))
        log.info("retired", extra={"fields": {"version": version, "reason": reason}})


def _list_as_retiring(blobs: Blobs, state: PointerState, versions: list[str]) -> None:
    """List versions in the pointer as retiring, if it is still in `state`. Raises PreconditionFailed, Unavailable."""
    if state.pointer is None:
        raise AssertionError("without a pointer all bundles are retained")
    try:
        write_pointer(blobs, _retiring(state.pointer, {*state.pointer.retiring, *versions}), state)
    except PreconditionFailed as error:
        raise PreconditionFailed("the pointer moved meanwhile; nothing was removed") from error


def _unlist(blobs: Blobs, gone: set[str]) -> None:
    """Take removed versions off the pointer's list; if the pointer moves meanwhile, the next run does it."""
    state = read_pointer(blobs)
    if state.pointer is None:
        return
    with suppress(PreconditionFailed):
        write_pointer(blobs, _retiring(state.pointer, set(state.pointer.retiring) - gone), state)


def _retiring(pointer: Pointer, versions: set[str]) -> Pointer:
    return msgspec.structs.replace(pointer, retiring=sorted(versions))
