"""Retrain: check the trigger, read, split, train, judge, record the run, publish, and swap if the gate allows it."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from shared.contract.event import EPOCH
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused, Misconfigured, PixError, PreconditionFailed, Unavailable
from shared.learning.config import Config
from shared.learning.data import dvc
from shared.learning.data.dataset import TrainingSource
from shared.learning.errors import NothingToDo
from shared.learning.judging.comparison import TestPeriod
from shared.learning.judging.plots import draw
from shared.learning.judging.review import flat, review
from shared.learning.judging.suspicion import read_strengths, strengths_of, suspicions, with_strengths
from shared.learning.lifecycle import trigger
from shared.learning.lifecycle.comparisons import comparison_suspicions
from shared.learning.lifecycle.ledger import Unpromoted, unpromoted_row, untrained_row
from shared.learning.lifecycle.past import past
from shared.learning.lifecycle.performance import matured_performance
from shared.learning.lifecycle.pointer import MoveCause, PointerState, read_pointer
from shared.learning.lifecycle.reconcile import reconcile
from shared.learning.lifecycle.refitting import judged_fit, sealed_refit, to_serve
from shared.learning.lifecycle.release import ReleasePorts, publish_and_record, swap_and_record
from shared.learning.lifecycle.request import AUTO, Request, RetrainingResult
from shared.learning.lifecycle.retire import Retiring, list_unneeded
from shared.learning.lifecycle.run_record import JudgedRun, Run, SealedBundle, parameters, report
from shared.learning.lifecycle.training_set import TrainingStores, known_at, read_training_set, store
from shared.learning.lifecycle.trigger import TriggerDecision
from shared.learning.ports import Ledger, Registry, Runs, SharedArchive, StepProgress, TrainingSnapshot
from shared.learning.training.challenger import Challenger, train_challengers
from shared.learning.training.engine import HERE, TrainingEngine
from shared.learning.training.incremental import read_champion_model
from shared.learning.training.packing import sealed, times, version_name
from shared.ports.blobs import Blobs, Shelf
from shared.scoring.bundle import Bundle, Manifest
from shared.scoring.champion import read_bundle
from shared.scoring.rules import Rules

log = logging.getLogger(__name__)

_UNPROMOTED: Mapping[str, Unpromoted] = {"PUBLISHED": "PUBLISH_ONLY", "SUSPECTED": "ASK", "TOO_FEW": "TOO_FEW"}
_CLOCK_SKEW = dt.timedelta(minutes=5)  # between the clocks of the job and of the tables


@dataclass(frozen=True, slots=True)
class Services:
    """The ports of a retraining, and its fixed inputs: data bucket, rules, clock, and code and libraries by name.

    `engine` has the machines that it fits on, by default this one.
    """

    source: TrainingSource
    bucket: str
    blobs: Blobs
    shelf: Shelf
    archive: SharedArchive
    runs: Runs
    registry: Registry
    ledger: Ledger
    rules: Rules
    clock: Callable[[], dt.datetime]
    provenance: Mapping[str, str]
    engine: TrainingEngine = HERE

    @property
    def release_ports(self) -> ReleasePorts:
        """The ports of a release."""
        return ReleasePorts(self.blobs, self.ledger, lambda: self.registry)


def retrain(services: Services, config: Config, request: Request, step: StepProgress) -> RetrainingResult:
    """Run a retraining from trigger to swap, and return its result.

    Raises Unavailable, Misconfigured, BadDataset, ExportFailed, BundleRefused; then the champion keeps serving.
    """
    state = read_pointer(services.blobs)
    with step("finish what was cut off"):
        _reconcile(services, state)
        _list_unneeded(services, config, request)
    try:
        _require_past(services, request)
        if not request.snapshot:
            with step("extend the training sample"):
                services.source.extend_sample(request.as_of, config.dataset)
        decision = _trigger(services, config, request, state)
        decided = msgspec.structs.replace(request, trigger=decision.trigger)
        return _retrain(services, config, decided, decision, state, step)
    except NothingToDo as error:
        services.ledger.append(untrained_row("NOTHING_TO_DO", services.clock(), request, str(error), state))
        return RetrainingResult("NOTHING_TO_DO", [str(error)], champion=state.version)
    except Unavailable:
        raise  # a retry may succeed, and the unavailable service may be the ledger
    except PixError as error:
        services.ledger.append(untrained_row("STOPPED", services.clock(), request, str(error), state))
        raise


def _require_past(services: Services, request: Request) -> None:
    """Raise Misconfigured if `as_of` is ahead of the clock of the job or of the tables.

    Every Pix of the time between would count as matured, and those not reported yet as legitimate.
    """
    now = min(services.clock(), services.source.now())
    if request.as_of > now + _CLOCK_SKEW:
        raise Misconfigured(f"--as-of {request.as_of.isoformat()} is in the future: it is {now.isoformat()}")


def _reconcile(services: Services, state: PointerState) -> None:
    reconcile(
        services.blobs,
        services.shelf,
        services.ledger,
        services.runs,
        services.registry,
        state,
        services.clock(),
    )


def _list_unneeded(services: Services, config: Config, request: Request) -> None:
    retiring = Retiring(services.blobs, services.shelf, services.ledger, services.clock, request.actor)
    list_unneeded(retiring, config.retention)


def _trigger(services: Services, config: Config, request: Request, state: PointerState) -> TriggerDecision:
    """Return the trigger of the run. Raises NothingToDo, Unavailable, Misconfigured."""
    if request.trigger != AUTO:
        return TriggerDecision("manual", f"requested by {request.actor}")
    since = trigger.since_last_training(services.ledger, services.source, request.as_of)
    champion = judged_fit(services.blobs, _champion(services.blobs, state))
    if champion and since.days is not None:
        found = matured_performance(services.source, request.as_of, champion, services.rules, config)
        since = since._replace(fall=found.reason() if found and found.has_fallen else None)
    return trigger.decide(since, config.trigger)


def _retrain(
    services: Services,
    config: Config,
    request: Request,
    decision: TriggerDecision,
    state: PointerState,
    step: StepProgress,
) -> RetrainingResult:
    champion = judged_fit(services.blobs, _champion(services.blobs, state))
    stores = TrainingStores(services.source, services.archive, services.blobs, services.engine)
    data, split, unjudged = read_training_set(stores, config, request, champion, step)
    if request.snapshot:
        request = msgspec.structs.replace(request, as_of=known_at(data, services.source.maturity_days))
    with step("open the run"):
        run_id = services.runs.start(parameters(request, decision, data, split, config, services.provenance))
    maturity_days, provenance = services.source.maturity_days, services.provenance
    run = Run(run_id, request, decision, data, split, unjudged, config, maturity_days, provenance)
    with contextlib.ExitStack() as unfinished:
        unfinished.callback(_close_as_failed, services.runs, run_id)
        with step("keep the training set"):
            name = store(services.archive, data, split, unjudged)
            uri = f"gs://{services.bucket}/{name}"
            pointer = dvc.share(services.archive, data.content_hash, f"{data.content_hash}.parquet")
            kept = TrainingSnapshot(data.content_hash, uri, len(data), data.names, pointer.name, pointer.text())
            services.runs.dataset(run_id, kept)
        judged = _train_and_judge(services, run, champion, state, step)
        if to_serve(judged):
            judged = replace(judged, refit=sealed_refit(judged, services.clock, step))
        unfinished.pop_all()
    with step("record the run"):  # before it serves: a model without a record must not decide
        services.runs.finish(run_id, report(judged))
    return _release(services, judged, state, step)


def _close_as_failed(runs: Runs, run_id: str) -> None:
    """Close a run as failed, if possible: else a later job does, and the error that ended the run is raised."""
    with contextlib.suppress(Unavailable):
        runs.finish(run_id, None)


def _champion(blobs: Blobs, state: PointerState) -> Bundle | None:
    """Return the bundle that serves, None if there is none or functions would refuse it."""
    if state.version is None:
        return None
    try:
        return read_bundle(blobs, state.version)
    except BundleRefused as error:
        log.error("champion refused", extra={"fields": {"version": state.version, "reason": str(error)}})
        return None


def _train_and_judge(
    services: Services, run: Run, champion: Bundle | None, state: PointerState, step: StepProgress
) -> JudgedRun:
    """Train challengers and compare them with the champion, or with the rules alone if no model serves."""
    data, split, config = run.data, run.split, run.config
    served = read_champion_model(services.blobs, champion.version, data.names) if champion else None
    on_trial = functools.partial(services.runs.trial, run.run_id)
    trained = train_challengers(data, split, services.rules, config, served, step, on_trial, services.engine)
    drafts = [_manifest(services, run, challenger) for challenger in trained.challengers]
    bundles = [Bundle(sealed(one.files, draft)) for one, draft in zip(trained.challengers, drafts, strict=True)]
    with step("compare with what serves"):
        period = TestPeriod.of(data, split.test, services.rules, config, champion, run.unjudged)
        validations = [challenger.average_precision for challenger in trained.challengers]
        refused = None if champion else state.version
        rows = services.ledger.rows(EPOCH)
        known = past(rows, services.clock(), config.gate.record_months, refused)
        found = review(period, list(zip(bundles, validations, strict=True)), champion, config.gate, known)
    with step("plot"):
        images = draw(found, bundles[found.chosen], period, trained.leaderboard)
    with step("look for leaks"):
        now = strengths_of(bundles[found.chosen], period)
        before = read_strengths(services.blobs, champion.version) if champion else None
    challenger, draft = trained.challengers[found.chosen], drafts[found.chosen]
    manifest = msgspec.structs.replace(draft, metrics=draft.metrics | found.metrics())
    approved = SealedBundle(manifest, sealed(with_strengths(challenger.files, now), manifest))
    suspected = [*suspicions(now, before, config.suspicion), *_uncompared(run, rows)]
    return JudgedRun(run, trained, challenger, approved, found, suspected, images)


def _uncompared(run: Run, rows: Sequence[LedgerRow]) -> list[str]:
    """Return the reasons against the features of a training set, by the comparisons in the ledger."""
    at, split = run.data.initiated_at, run.split
    trained = int(at[split.train.start]), int(at[split.test.stop - 1])
    return comparison_suspicions(rows, trained, int(at[split.test.start]), run.config.comparison)


def _manifest(services: Services, run: Run, challenger: Challenger) -> Manifest:
    """Return the manifest of a challenger, without the hashes of its files and without its figures."""
    data, split, now = run.data, run.split, services.clock()
    return Manifest(
        version_name(now, challenger.parts.onnx),
        now.isoformat(),
        {},
        run.run_id,
        data.content_hash,
        metrics=times(data, split.train.stop, split.calibration.stop, run.request.as_of),
        actor=run.request.actor,
        trigger=run.decision.trigger,
        as_of=run.request.as_of.isoformat(),
    )


def _release(services: Services, judged: JudgedRun, state: PointerState, step: StepProgress) -> RetrainingResult:
    """Publish the challenger and its refit, swap in the one to serve, and record the outcome in the ledger."""
    request, serving = judged.run.request, judged.serving
    with step("publish"):
        publish_and_record(services.release_ports, *judged.approved)
        if serving is not judged.approved:
            publish_and_record(services.release_ports, *serving)
    verdict = "; ".join(judged.review.verdict.reasons)
    if to_serve(judged):
        with step("swap"):
            outcome, reason = _swap(services, request, state, serving.manifest.version, _reason(judged))
    elif request.promote == "never":
        outcome, reason = "PUBLISHED", f"published only, as requested; verdict of the gate: {verdict}"
    elif judged.review.verdict.promote:
        outcome, reason = "SUSPECTED", f"a person has to look: {'; '.join(judged.suspicions)}; the gate: {verdict}"
    else:
        outcome, reason = "TOO_FEW" if judged.review.verdict.outcome == "TOO_FEW" else "REFUSED", verdict
    if outcome != "PROMOTED":
        action = _UNPROMOTED.get(outcome, "REFUSE")
        services.ledger.append(unpromoted_row(action, services.clock(), request, reason, state, serving.manifest))
    return _result(judged, outcome, reason)


def _swap(services: Services, request: Request, state: PointerState, version: str, verdict: str) -> tuple[str, str]:
    """Move the pointer; return PROMOTED or SWAP_LOST, and the reason."""
    reason = verdict
    if request.promote == "always":
        reason = f"decided by hand by {request.actor}; verdict of the gate: {verdict}"
    cause = MoveCause(services.clock(), request.actor, reason)
    try:
        swap_and_record(services.release_ports, state, version, cause)
    except PreconditionFailed as error:
        return "SWAP_LOST", str(error)
    return "PROMOTED", reason


def _reason(judged: JudgedRun) -> str:
    """Return the reasons of the verdict, and the sentence on the refit."""
    return "; ".join([*judged.review.verdict.reasons, *([judged.refit.summary()] if judged.refit else [])])


def _result(judged: JudgedRun, outcome: str, reason: str) -> RetrainingResult:
    run, manifest = judged.run, judged.serving.manifest
    return RetrainingResult(
        outcome,
        [reason],
        manifest.trigger,
        manifest.version,
        judged.approved.manifest.version,
        judged.review.incumbent.name,
        judged.challenger.recipe.candidate,
        judged.challenger.recipe.mode,
        run.run_id,
        manifest.dataset_hash,
        len(run.data),
        int(run.data.fraud.sum()),
        manifest.metrics,
        flat(judged.review.incumbent),
    )
