"""Read the training set of a run, from the tables or from a snapshot, and store it to make the run repeatable."""

from __future__ import annotations

import datetime as dt
import logging
from typing import NamedTuple

from shared.contract.event import EPOCH
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import Config
from shared.learning.data import dataset, snapshot, unjudged
from shared.learning.data.dataset import Dataset, TrainingSource
from shared.learning.data.profile import read_profile
from shared.learning.data.split import Split, require_both_classes, split_in_time
from shared.learning.data.unjudged import Unjudged
from shared.learning.lifecycle.request import Request
from shared.learning.ports import Archive, StepProgress
from shared.learning.training.engine import TrainingEngine
from shared.ports.blobs import Blobs
from shared.scoring.bundle import Bundle

log = logging.getLogger(__name__)


class TrainingSet(NamedTuple):
    """Examples, their periods, and the decisions of the test period without a label, None if they are not known."""

    data: Dataset
    split: Split
    unjudged: Unjudged | None


class TrainingStores(NamedTuple):
    """The ports behind a training set: tables, stored snapshots, published bundles, and the engine that samples."""

    source: TrainingSource
    archive: Archive
    blobs: Blobs
    engine: TrainingEngine


def read_training_set(
    stores: TrainingStores, config: Config, request: Request, champion: Bundle | None, step: StepProgress
) -> TrainingSet:
    """Return the training set that a request asks for.

    Raises Unavailable, Misconfigured, BadDataset, and NothingToDo if it is too small.
    """
    with step("read the training set"):
        if request.snapshot:
            data = snapshot.load(stores.archive, request.snapshot, FEATURE_NAMES)
        else:
            profile = read_profile(stores.blobs, champion.version) if champion else None
            data = dataset.read(
                stores.source, request.as_of, FEATURE_NAMES, config.dataset, profile, stores.engine.sample
            )
    split = split_in_time(data.initiated_at, config.split)
    require_both_classes(data.fraud, split, config.split.frauds_min)
    since = _since(data, split)
    with step("read what no label judges"):
        if request.snapshot:
            unknown = unjudged.load(stores.archive, request.snapshot, since, FEATURE_NAMES)
        else:
            rates = data.quality.representation.rates
            unknown = unjudged.read(stores.source, request.as_of, since, FEATURE_NAMES, config.dataset, rates)
    of_unknown = None if unknown is None else len(unknown)
    fields = {"rows": len(data), "frauds": int(data.fraud.sum()), "unjudged": of_unknown}
    log.info("training set read", extra={"fields": fields})
    return TrainingSet(data, split, unknown)


def store(archive: Archive, data: Dataset, split: Split, unknown: Unjudged | None) -> str:
    """Store a training set in the bucket of rows, unless it is there already, and return its object name.

    Raises Unavailable, Misconfigured.
    """
    if unknown is not None:
        unjudged.save(archive, unknown, data.content_hash, _since(data, split))
    return snapshot.save(archive, data)


def known_at(data: Dataset, maturity_days: float) -> dt.datetime:
    """Return when the last of these Pix matured: training on a snapshot knows nothing that is newer."""
    return EPOCH + dt.timedelta(microseconds=int(data.initiated_at[-1]), days=maturity_days)


def _since(data: Dataset, split: Split) -> int:
    """Return the time of the first row of the test period, in microseconds."""
    return int(data.initiated_at[split.test.start])
