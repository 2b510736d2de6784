"""A whole retraining: decide whether, read, split, train, judge, record, publish, and swap if the gate lets it."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from shared.contract.event import EPOCH, micros
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused, PixError, PreconditionFailed, Unavailable
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import Config
from shared.learning.data import dataset, snapshot
from shared.learning.data.dataset import Dataset, TrainingSource
from shared.learning.data.profile import read_profile
from shared.learning.data.split import Split, require_both_classes, split_in_time
from shared.learning.errors import NothingToDo
from shared.learning.judging.comparison import TestPeriod
from shared.learning.judging.plots import draw
from shared.learning.judging.review import flat, review
from shared.learning.lifecycle import trigger
from shared.learning.lifecycle.pointer import MoveCause, PointerState, standing
from shared.learning.lifecycle.reconcile import reconcile, with_training
from shared.learning.lifecycle.release import ReleasePorts, release, serve
from shared.learning.lifecycle.request import AUTO, Request, RetrainingResult
from shared.learning.lifecycle.run_record import Judged, Run, parameters, report
from shared.learning.lifecycle.trigger import TriggerDecision
from shared.learning.ports import Archive, Ledger, Registry, Runs, Snapshot, StepProgress
from shared.learning.training.challenger import Challenger, train_challengers
from shared.learning.training.incremental import read_champion_model
from shared.learning.training.packing import SEEN_UNTIL, TRAINED_UNTIL, sealed, version_name
from shared.ports import Blobs, Shelf
from shared.scoring.bundle import Bundle, Manifest
from shared.scoring.champion import read_bundle
from shared.scoring.rules import Rules

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything outside that a retraining touches."""

    source: TrainingSource
    bucket: str
    blobs: Blobs
    shelf: Shelf
    archive: Archive
    runs: Runs
    registry: Registry
    ledger: Ledger
    rules: Rules
    clock: Callable[[], dt.datetime]

    @property
    def places(self) -> ReleasePorts:
        """What a release touches."""
        return ReleasePorts(self.blobs, self.ledger, lambda: self.registry)


class _Material(NamedTuple):
    data: Dataset
    split: Split


def retrain(world: Services, config: Config, request: Request, step: StepProgress) -> RetrainingResult:
    """Run it all.

    Raises Unavailable, Misconfigured, BadDataset, ExportFailed, BundleRefused: then what served goes on serving.
    """
    read = standing(world.blobs)
    with step("finish what was cut off"):
        reconcile(world.blobs, world.shelf, world.ledger, world.runs, world.registry, read, world.clock())
    try:
        cause = _cause(world, config, request)
        return _retrain(world, config, msgspec.structs.replace(request, trigger=cause.trigger), cause, read, step)
    except NothingToDo as reason:
        world.ledger.append(_row(world, request, "NOTHING_TO_DO", str(reason), read))
        return RetrainingResult("NOTHING_TO_DO", [str(reason)], champion=read.version)
    except Unavailable:
        raise  # it will do later, and the ledger may be what is away
    except PixError as error:
        world.ledger.append(_row(world, request, "STOPPED", str(error), read))
        raise


def _cause(world: Services, config: Config, request: Request) -> TriggerDecision:
    """Return what makes the run train. Raises NothingToDo."""
    if request.trigger != AUTO:
        return TriggerDecision("manual", f"asked for by {request.actor}")
    return trigger.decide(trigger.look(world.ledger, world.source, request.as_of), config.trigger)


def _retrain(
    world: Services, config: Config, request: Request, cause: TriggerDecision, read: PointerState, step: StepProgress
) -> RetrainingResult:
    champion = _champion(world.blobs, read)
    data, split = _material(world, config, request, champion, step)
    if request.snapshot:
        request = msgspec.structs.replace(request, as_of=_known_at(data, world.source.maturity_days))
    with step("open the run"):
        run_id = world.runs.start(parameters(request, cause, data, split, config))
    run = Run(run_id, request, cause, data, split, config, world.source.maturity_days)
    with contextlib.ExitStack() as unfinished:
        unfinished.callback(_give_up, world.runs, run_id)
        with step("keep the training set"):
            world.runs.dataset(run_id, _kept(world, data))
        judged = _judged(world, run, champion, step)
        unfinished.pop_all()
    with step("record the run"):  # before it serves: what cannot be explained does not
        world.runs.finish(run_id, report(judged))
    return _settle(world, judged, read, step)


def _give_up(runs: Runs, run_id: str) -> None:
    """Close a run as failed if that can be done: a later job does it otherwise, and why this one failed counts."""
    with contextlib.suppress(Unavailable):
        runs.finish(run_id, None)


def _champion(blobs: Blobs, read: PointerState) -> Bundle | None:
    """Return the bundle that serves, or None if there is none or it would be refused."""
    if read.version is None:
        return None
    try:
        return read_bundle(blobs, read.version)
    except BundleRefused as error:
        log.error("champion refused", extra={"fields": {"version": read.version, "reason": str(error)}})
        return None


def _material(
    world: Services, config: Config, request: Request, champion: Bundle | None, step: StepProgress
) -> _Material:
    with step("read the training set"):
        if request.snapshot:
            data = snapshot.load(world.archive, request.snapshot, FEATURE_NAMES)
        else:
            profile = read_profile(world.blobs, champion.version) if champion else None
            data = dataset.read(world.source, request.as_of, FEATURE_NAMES, config.dataset, profile)
    split = split_in_time(data.initiated_at, config.split)
    require_both_classes(data.fraud, split, config.split.frauds_min)
    log.info("training set read", extra={"fields": {"rows": len(data), "frauds": int(data.fraud.sum())}})
    return _Material(data, split)


def _known_at(data: Dataset, maturity_days: float) -> dt.datetime:
    """Return when the last of these Pix could be judged: a training on them again knows no more than that."""
    return EPOCH + dt.timedelta(microseconds=int(data.initiated_at[-1]), days=maturity_days)


def _kept(world: Services, data: Dataset) -> Snapshot:
    name = snapshot.save(world.archive, data)
    return Snapshot(data.content_hash, f"gs://{world.bucket}/{name}", len(data), data.names)


def _judged(world: Services, run: Run, champion: Bundle | None, step: StepProgress) -> Judged:
    """Train challengers and compare them with what serves."""
    data, split, config = run.data, run.split, run.config
    served = read_champion_model(world.blobs, champion.version, data.names) if champion else None
    told = functools.partial(world.runs.trial, run.run_id)
    trained = train_challengers(data, split, world.rules, config, served, step, told)
    drafts = [_manifest(world, run, challenger) for challenger in trained.challengers]
    bundles = [Bundle(sealed(one.files, draft)) for one, draft in zip(trained.challengers, drafts, strict=True)]
    with step("compare with what serves"):
        period = TestPeriod.of(data, split.test, world.rules, config, champion)
        validations = [challenger.average_precision for challenger in trained.challengers]
        found = review(period, list(zip(bundles, validations, strict=True)), champion, config.gate)
    with step("plot"):
        images = draw(found, bundles[found.chosen], period, trained.leaderboard)
    challenger, draft = trained.challengers[found.chosen], drafts[found.chosen]
    manifest = msgspec.structs.replace(draft, metrics=draft.metrics | found.metrics())
    return Judged(run, trained, challenger, manifest, sealed(challenger.files, manifest), found, images)


def _manifest(world: Services, run: Run, challenger: Challenger) -> Manifest:
    """Return the manifest of a challenger, without its figures."""
    data, split, now = run.data, run.split, world.clock()
    return Manifest(
        version_name(now, challenger.parts.onnx),
        now.isoformat(),
        {},
        run.run_id,
        data.content_hash,
        metrics={
            TRAINED_UNTIL: float(data.initiated_at[split.train.stop - 1] / 1e6),
            SEEN_UNTIL: float(data.initiated_at[split.calibration.stop - 1] / 1e6),
        },
        actor=run.request.actor,
        trigger=run.cause.trigger,
        as_of=run.request.as_of.isoformat(),
    )


def _settle(world: Services, judged: Judged, read: PointerState, step: StepProgress) -> RetrainingResult:
    """Publish the challenger, let it serve if it may, and write down what happened."""
    request, manifest = judged.run.request, judged.manifest
    with step("publish"):
        release(world.places, manifest, judged.files)
    verdict = "; ".join(judged.review.verdict.reasons)
    if request.promote == "never":
        outcome, reason = "PUBLISHED", f"only published, as asked; the gate said: {verdict}"
    elif request.promote == "always" or judged.review.verdict.promote:
        with step("swap"):
            outcome, reason = _swap(world, request, read, manifest.version, verdict)
    else:
        outcome, reason = "REFUSED", verdict
    if outcome != "PROMOTED":
        row = _row(world, request, "REFUSE", reason, read, manifest.version)
        world.ledger.append(with_training(row, manifest))
    return _outcome(judged, outcome, reason)


def _swap(world: Services, request: Request, read: PointerState, version: str, reason: str) -> tuple[str, str]:
    """Return the outcome of moving the pointer, and its reason."""
    if request.promote == "always":
        reason = f"decided by hand by {request.actor}; the gate said: {reason}"
    try:
        serve(world.places, read, version, MoveCause(world.clock(), request.actor, reason))
    except PreconditionFailed as error:
        return "SWAP_LOST", str(error)
    return "PROMOTED", reason


def _outcome(judged: Judged, outcome: str, reason: str) -> RetrainingResult:
    run, manifest = judged.run, judged.manifest
    return RetrainingResult(
        outcome,
        [reason],
        manifest.trigger,
        manifest.version,
        judged.review.incumbent.name,
        judged.challenger.candidate,
        judged.challenger.mode,
        run.run_id,
        manifest.dataset_hash,
        len(run.data),
        int(run.data.fraud.sum()),
        manifest.metrics,
        flat(judged.review.incumbent),
    )


def _row(
    world: Services, request: Request, action: str, reason: str, read: PointerState, version: str | None = None
) -> LedgerRow:
    return LedgerRow(
        recorded_at=micros(world.clock()),
        action=action,
        actor=request.actor,
        reason=reason,
        from_version=read.version,
        to_version=version,
        trigger=request.trigger,
        as_of=micros(request.as_of),
    )
