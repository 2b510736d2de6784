"""A whole retraining: read, split, train, compare, record, publish, and swap if the gate lets it."""

from __future__ import annotations

import datetime as dt
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused, PreconditionFailed
from shared.features.catalogue import FEATURE_NAMES
from shared.learning import dataset
from shared.learning.challenger import Trained, train_challengers
from shared.learning.comparison import RULES_ALONE, SEEN_UNTIL, TRAINED_UNTIL, TestPeriod
from shared.learning.config import Config
from shared.learning.dataset import Dataset, Source
from shared.learning.errors import NothingToDo
from shared.learning.gate import Verdict
from shared.learning.packing import sealed, version_name
from shared.learning.plots import draw
from shared.learning.ports import Ledger, Registry, Report, Runs, Step
from shared.learning.publish import Cause, Standing, publish, standing, swap
from shared.learning.reconcile import moved_row, published_row, reconcile, with_training
from shared.learning.review import flat, review
from shared.learning.split import Split, require_both_classes, split_in_time
from shared.ports import Blobs, Shelf
from shared.scoring.bundle import MANIFEST, Bundle, Manifest
from shared.scoring.champion import read_bundle
from shared.scoring.rules import Rules

log = logging.getLogger(__name__)

Promote = Literal["gate", "never", "always"]


class Request(Struct, frozen=True):
    """What is asked for: by whom, why now, with what is known at `as_of`, and who decides about the swap."""

    as_of: dt.datetime
    trigger: str
    actor: str
    promote: Promote = "gate"


class Outcome(Struct, frozen=True):
    """What came of it; `outcome` is PROMOTED, REFUSED, PUBLISHED, SWAP_LOST or NOTHING_TO_DO."""

    outcome: str
    reasons: list[str]
    version: str | None = None
    champion: str | None = None
    run_id: str | None = None
    dataset_hash: str | None = None
    rows: int = 0
    frauds: int = 0
    metrics: dict[str, float] = {}
    champion_metrics: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside that a retraining touches."""

    source: Source
    blobs: Blobs
    shelf: Shelf
    runs: Runs
    registry: Registry
    ledger: Ledger
    rules: Rules
    clock: Callable[[], dt.datetime]


class _Material(NamedTuple):
    data: Dataset
    split: Split


class _Result(NamedTuple):
    version: str
    files: dict[str, bytes]
    verdict: Verdict
    metrics: dict[str, float]
    champion_metrics: dict[str, float]
    incumbent: str
    plots: dict[str, bytes]
    tags: dict[str, str]
    inputs: list[str]


def retrain(world: World, config: Config, request: Request, step: Step) -> Outcome:
    """Run it all.

    Raises Unavailable, Misconfigured, BadDataset, ExportFailed, BundleRefused: then what served goes on serving.
    """
    read = standing(world.blobs)
    with step("finish what was cut off"):
        reconcile(world.blobs, world.shelf, world.ledger, world.runs, world.registry, read, world.clock())
    try:
        material = _material(world, config, request, step)
    except NothingToDo as reason:
        world.ledger.append(_row(world, request, "NOTHING_TO_DO", str(reason), read))
        return Outcome("NOTHING_TO_DO", [str(reason)], champion=read.version)
    with step("open the run"):
        run_id = world.runs.start(_params(config, request, material))
    result = None
    try:
        result = _result(world, config, request, material, read, run_id, step)
    finally:
        with step("record the run"):
            world.runs.finish(run_id, _report(result) if result else None)
    return _settle(world, request, material, read, run_id, result, step)


def _material(world: World, config: Config, request: Request, step: Step) -> _Material:
    with step("read the training set"):
        data = dataset.read(world.source, request.as_of, FEATURE_NAMES, config.dataset, None)
    split = split_in_time(data.initiated_at, config.split)
    require_both_classes(data.fraud, split, config.split.frauds_min)
    log.info("training set read", extra={"fields": {"rows": len(data), "frauds": int(data.fraud.sum())}})
    return _Material(data, split)


def _result(
    world: World, config: Config, request: Request, material: _Material, read: Standing, run_id: str, step: Step
) -> _Result:
    """Train the challenger and compare it with what serves."""
    data, split = material
    told = functools.partial(world.runs.trial, run_id)
    trained = train_challengers(data, split, world.rules, config, None, step, told)
    challenger = trained.challengers[0]
    version = version_name(world.clock(), challenger.parts.onnx)
    manifest = Manifest(
        version,
        world.clock().isoformat(),
        {},
        run_id,
        data.content_hash,
        actor=request.actor,
        trigger=request.trigger,
        as_of=request.as_of.isoformat(),
    )
    until = {
        TRAINED_UNTIL: float(data.initiated_at[split.train.stop - 1] / 1e6),
        SEEN_UNTIL: float(data.initiated_at[split.calibration.stop - 1] / 1e6),
    }
    with step("compare with what serves"):
        champion = _champion(world.blobs, read)
        period = TestPeriod.of(data, split.test, world.rules, config, champion)
        bundle = Bundle(sealed(challenger.files, msgspec.structs.replace(manifest, metrics=until)))
        found = review(period, [(bundle, challenger.average_precision)], champion, config.gate)
    with step("plot"):
        images = draw(found, bundle, period, trained.leaderboard)
    metrics = found.metrics() | until
    return _Result(
        version,
        sealed(challenger.files, msgspec.structs.replace(manifest, metrics=metrics)),
        found.verdict,
        metrics,
        flat(found.incumbent),
        found.incumbent.name,
        images,
        _tags(trained, found.incumbent.name, found.verdict),
        list(challenger.parts.names),
    )


def _champion(blobs: Blobs, read: Standing) -> Bundle | None:
    """Return the bundle that serves, or None if there is none or it would be refused."""
    if read.version is None:
        return None
    try:
        return read_bundle(blobs, read.version)
    except BundleRefused as error:
        log.error("champion refused", extra={"fields": {"version": read.version, "reason": str(error)}})
        return None


def _settle(
    world: World, request: Request, material: _Material, read: Standing, run_id: str, result: _Result, step: Step
) -> Outcome:
    """Publish the challenger, let it serve if it may, and write down what happened."""
    reason = "; ".join(result.verdict.reasons)
    manifest = msgspec.json.decode(result.files[MANIFEST], type=Manifest)
    with step("publish"):
        publish(world.blobs, result.version, result.files)
        world.ledger.append(published_row(manifest))
    outcome = "PUBLISHED" if request.promote == "never" else "REFUSED"
    if outcome == "PUBLISHED":
        reason = f"only published, as asked; the gate said: {reason}"
    if _allowed(request, result.verdict):
        with step("swap"):
            outcome, reason = _swap(world, request, read, result.version, reason)
    if outcome != "PROMOTED":
        row = _row(world, request, "REFUSE", reason, read, result.version)
        world.ledger.append(with_training(row, manifest))
    return Outcome(
        outcome,
        [reason],
        result.version,
        read.version or RULES_ALONE,
        run_id,
        material.data.content_hash,
        len(material.data),
        int(material.data.fraud.sum()),
        result.metrics,
        result.champion_metrics,
    )


def _allowed(request: Request, verdict: Verdict) -> bool:
    return request.promote == "always" or (request.promote == "gate" and verdict.promote)


def _swap(world: World, request: Request, read: Standing, version: str, reason: str) -> tuple[str, str]:
    """Return the outcome of moving the pointer, and its reason."""
    if request.promote == "always":
        reason = f"decided by hand by {request.actor}; the gate said: {reason}"
    try:
        swapped = swap(world.blobs, read, version, Cause(world.clock(), request.actor, reason))
    except PreconditionFailed as error:
        return "SWAP_LOST", str(error)
    world.ledger.append(moved_row(swapped.pointer, swapped.manifest))
    world.registry.appoint(version, swapped.pointer.previous)
    return "PROMOTED", reason


def _row(
    world: World, request: Request, action: str, reason: str, read: Standing, version: str | None = None
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


def _report(result: _Result) -> Report:
    figures = {f"champion_{name}": value for name, value in result.champion_metrics.items()} | result.metrics
    return Report(result.version, figures, result.tags, result.files, result.plots, result.inputs)


def _tags(trained: Trained, incumbent: str, verdict: Verdict) -> dict[str, str]:
    challenger = trained.challengers[0]
    reached = {t.candidate: t.average_precision for t in reversed(trained.leaderboard) if t.average_precision}
    return {
        "family": challenger.family,
        "incumbent": incumbent,
        "promote": str(verdict.promote).lower(),
        "reasons": "; ".join(verdict.reasons),
        "parity": f"{challenger.parity:.2g}",
        **{f"candidate.{name}.average_precision": f"{ap:.4f}" for name, ap in reached.items()},
    }


def _params(config: Config, request: Request, material: _Material) -> dict[str, str]:
    data, split = material
    return {
        "trigger": request.trigger,
        "as_of": request.as_of.isoformat(),
        "dataset_hash": data.content_hash,
        "rows": str(len(data)),
        "frauds": str(int(data.fraud.sum())),
        **{f"{name}_rows": str(part.stop - part.start) for name, part in split._asdict().items()},
        **dict(_flat(msgspec.to_builtins(config))),
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return the leaves of nested mappings under dotted names."""
    leaves: list[tuple[str, str]] = []
    for name, value in tree.items():
        below = isinstance(value, Mapping)
        leaves += _flat(value, f"{prefix}{name}.") if below else [(prefix + name, str(value))]
    return leaves
