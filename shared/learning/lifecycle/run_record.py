"""Compose the record of a run in the experiment tracker: parameters, figures, documents and model card."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.fields import Side
from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.data.split import Split
from shared.learning.data.unjudged import Unjudged
from shared.learning.judging.card import CardFacts, PeriodFacts, model_card
from shared.learning.judging.review import Review, flat
from shared.learning.lifecycle.pointer import parse_time
from shared.learning.lifecycle.request import Request
from shared.learning.lifecycle.trigger import TriggerDecision
from shared.learning.ports import RunReport
from shared.learning.training.challenger import Challenger, TrainedChallengers
from shared.learning.training.export import joblib_bytes
from shared.learning.training.model_file import NAME, read_model
from shared.learning.training.packing import TRAINED_AGE, TRAINED_UNTIL
from shared.learning.training.refit import Proof
from shared.scoring.bundle import EXPLANATION, Manifest
from shared.scoring.explanation import Explanation

_PURPOSES = {"train": "training", "calibration": "calibration and choice", "test": "test, unseen until the end"}


@dataclass(frozen=True, slots=True)
class Run:
    """A run before training: the request, the decision to train, training set, configuration, code and libraries.

    `unjudged` are the decisions of the test period without a label, None if they are not known.
    """

    run_id: str
    request: Request
    decision: TriggerDecision
    data: Dataset
    split: Split
    unjudged: Unjudged | None
    config: Config
    maturity_days: float
    provenance: Mapping[str, str]


class SealedBundle(NamedTuple):
    """A bundle to publish: its manifest, and its files with the manifest."""

    manifest: Manifest
    files: dict[str, bytes]


class SealedRefit(NamedTuple):
    """The refit of the chosen challenger with its proofs, or the reason why there is none; `bundle` if it serves."""

    bundle: SealedBundle | None
    proofs: list[Proof]
    obstacle: str = ""

    def summary(self) -> str:
        """Return the sentences of the card and the ledger on the refit."""
        if self.bundle:
            until = dt.datetime.fromtimestamp(self.bundle.manifest.metrics[TRAINED_UNTIL], dt.UTC)
            return f"serves as {self.bundle.manifest.version}, its refit on all rows until {until:%Y-%m-%d}"
        failed = "; ".join(proof.text for proof in self.proofs if not proof.passed)
        return f"serves as it was judged, since its refit has not proved itself: {self.obstacle or failed}"


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run after training and judging: all challengers, the chosen one, its sealed files, review and plots.

    `suspicions` are sentences on findings for a person to look at before the gate's promotion counts. `refit` is None
    unless the challenger is to serve.
    """

    run: Run
    trained: TrainedChallengers
    challenger: Challenger
    approved: SealedBundle
    review: Review
    suspicions: list[str]
    images: dict[str, bytes]
    refit: SealedRefit | None = None

    @property
    def serving(self) -> SealedBundle:
        """The bundle that is to serve, if any does: the refit of the approved one if it has proved itself."""
        return self.refit.bundle if self.refit and self.refit.bundle else self.approved


def parameters(
    request: Request,
    decision: TriggerDecision,
    data: Dataset,
    split: Split,
    config: Config,
    provenance: Mapping[str, str],
) -> dict[str, str]:
    """Return the parameters that reproduce a run, by name."""
    return {
        "actor": request.actor,
        **provenance,
        "trigger": decision.trigger,
        "trigger_reason": decision.reason,
        "as_of": request.as_of.isoformat(),
        "dataset_hash": data.content_hash,
        "rows": str(len(data)),
        "frauds": str(int(data.fraud.sum())),
        **{f"{name}_rows": str(part.stop - part.start) for name, part in split._asdict().items()},
        **dict(_leaves(msgspec.to_builtins(config))),
    }


def report(judged: JudgedRun) -> RunReport:
    """Return the report that the experiment tracker stores for a run."""
    champion = {f"champion_{name}": value for name, value in flat(judged.review.incumbent).items()}
    documents = {
        "card.html": model_card(_card(judged)),
        "leaderboard.json": _json(judged.trained.leaderboard),
        "verdict.json": _json(dict(zip(_names(judged.trained), judged.review.verdicts, strict=True))),
        "quality.json": _json(judged.run.data.quality),
        **({"refit.json": _json(judged.refit.proofs)} if judged.refit else {}),
    }
    serving = judged.serving
    return RunReport(
        serving.manifest.version,
        champion | judged.run.data.quality.representation.metrics() | serving.manifest.metrics,
        _tags(judged),
        {**serving.files, "model.joblib": joblib_bytes(read_model(serving.files[NAME]))},
        judged.images,
        msgspec.json.decode(serving.files["features.json"], type=list[str]),
        documents,
    )


def serving_decision(judged: JudgedRun) -> str:
    """Return the sentence of the card on who decides whether the challenger serves, and how."""
    request, incumbent = judged.run.request, judged.review.incumbent.name
    if request.promote == "never":
        return "It was published only, as requested, and does not serve."
    if request.promote == "always":
        return f"It is to serve by decision of {request.actor}, regardless of the gate."
    if judged.review.verdict.promote and judged.suspicions:
        return f"{incumbent} keeps serving until a person has looked at a suspicion, and promotes it by jobs.promote."
    return f"It is to replace {incumbent}." if judged.review.verdict.promote else f"{incumbent} keeps serving."


def _names(trained: TrainedChallengers) -> list[str]:
    return [f"{challenger.recipe.mode} {challenger.recipe.candidate}" for challenger in trained.challengers]


def _tags(judged: JudgedRun) -> dict[str, str]:
    verdict, challenger = judged.review.verdict, judged.challenger
    return {
        "candidate": challenger.recipe.candidate,
        "family": challenger.recipe.family,
        "mode": challenger.recipe.mode,
        "incumbent": judged.review.incumbent.name,
        "gate": verdict.outcome.lower(),
        "reasons": "; ".join(verdict.reasons),
        "suspicions": "; ".join(judged.suspicions),
        "parity": f"{challenger.parity:.2g}",
        "microseconds_per_row": f"{challenger.microseconds:.2f}",
        **{
            f"validation.{name}.average_precision": f"{one.average_precision:.4f}"
            for name, one in zip(_names(judged.trained), judged.trained.challengers, strict=True)
        },
    }


def _card(judged: JudgedRun) -> CardFacts:
    run, challenger, manifest = judged.run, judged.challenger, judged.approved.manifest
    return CardFacts(
        version=manifest.version,
        created_at=parse_time(manifest.created_at),
        trigger=f"{run.decision.trigger}: {run.decision.reason}",
        actor=run.request.actor,
        outcome=serving_decision(judged),
        candidate=challenger.recipe.candidate,
        family=challenger.recipe.family,
        mode=challenger.recipe.mode,
        inputs=len(challenger.parts.names),
        explanation=msgspec.json.decode(challenger.files[EXPLANATION], type=Explanation).kind,
        thresholds=challenger.parts.thresholds,
        run_id=run.run_id,
        dataset_hash=run.data.content_hash,
        as_of=run.request.as_of,
        maturity_days=run.maturity_days,
        suspicions=judged.suspicions,
        provenance=run.provenance,
        unlabelled=run.data.quality.unlabelled,
        representation=run.data.quality.representation,
        findings=[check.text for check in run.data.quality.widest.checks],
        trained_age_days=judged.serving.manifest.metrics[TRAINED_AGE],
        refit=f"It {judged.refit.summary()}." if judged.refit else "",
        periods=[_period(_PURPOSES[name], part, run.data) for name, part in run.split._asdict().items()],
        review=judged.review,
        leaderboard=judged.trained.leaderboard,
        images=judged.images,
        config=run.config,
    )


def _period(purpose: str, part: slice, data: Dataset) -> PeriodFacts:
    ends: NDArray[np.int64] = data.initiated_at[[part.start, part.stop - 1]]
    first, last = (dt.datetime.fromtimestamp(end / 1e6, dt.UTC) for end in ends.tolist())
    side = data.facts["side"]
    payees = int(np.array([name == Side.PAYEE for name in side.values], dtype=bool)[side.codes[part]].sum())
    return PeriodFacts(purpose, first, last, part.stop - part.start, payees, int(data.fraud[part].sum()))


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return the leaves of nested mappings under dotted names."""
    leaves: list[tuple[str, str]] = []
    for name, value in tree.items():
        below = isinstance(value, Mapping)
        leaves += _leaves(value, f"{prefix}{name}.") if below else [(prefix + name, str(value))]
    return leaves
