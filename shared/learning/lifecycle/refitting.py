"""Refit the model that is to serve, as a version of its own beside the fit that was judged.

Bundles never change, so the approved fit stays in the bucket, and the manifest of its refit names it. A rollback
leads to the version that served before, whichever kind that was.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable

import msgspec

from shared.errors import BundleRefused
from shared.learning.errors import CannotContinue, ExportFailed, FitFailed
from shared.learning.lifecycle.run_record import JudgedRun, SealedBundle, SealedRefit
from shared.learning.ports import StepProgress
from shared.learning.training.packing import sealed, times, version_name
from shared.learning.training.refit import refit
from shared.ports.blobs import Blobs
from shared.scoring.bundle import Bundle
from shared.scoring.champion import read_bundle

log = logging.getLogger(__name__)


def to_serve(judged: JudgedRun) -> bool:
    """Return whether request or gate want the challenger to serve, and no person has to look at it first."""
    promote = judged.run.request.promote
    return promote == "always" or (promote == "gate" and judged.review.verdict.promote and not judged.suspicions)


def sealed_refit(judged: JudgedRun, clock: Callable[[], dt.datetime], step: StepProgress) -> SealedRefit:
    """Refit the approved challenger; if that fails or does not prove itself, the approved fit is to serve."""
    run, manifest = judged.run, judged.approved.manifest
    try:
        with step("refit on all that has matured"):
            found = refit(judged.challenger, run.data, run.split, run.config)
    except (FitFailed, CannotContinue, ExportFailed) as error:
        log.warning("no refit", extra={"fields": {"version": manifest.version, "reason": str(error)}})
        return SealedRefit(None, [], str(error))
    if not found.proven:
        return SealedRefit(None, found.proofs)
    now, rows = clock(), len(run.data)
    own = msgspec.structs.replace(
        manifest,
        version=version_name(now, found.parts.onnx),
        created_at=now.isoformat(),
        metrics=manifest.metrics | times(run.data, rows, rows, run.request.as_of),
        refit_of=manifest.version,
    )
    return SealedRefit(SealedBundle(own, sealed(found.files, own)), found.proofs)


def judged_fit(blobs: Blobs, champion: Bundle | None) -> Bundle | None:
    """Return the fit behind a champion that a gate has judged: its own, or the one that it is a refit of.

    A refit has learnt the rows on which its successor is judged, so it would win on them whatever it is worth, and
    the rows that it has not learnt hold no new frauds to continue it on. The approved fit has the same recipe and has
    not seen them; the challenger that is compared with it will be refitted too.
    """
    if champion is None or champion.manifest.refit_of is None:
        return champion
    try:
        return read_bundle(blobs, champion.manifest.refit_of)
    except BundleRefused as error:
        fields = {"version": champion.manifest.refit_of, "reason": str(error)}
        log.warning("the approved fit of the champion is refused", extra={"fields": fields})
        return champion
