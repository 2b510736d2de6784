"""Settings of a retraining, read from `jobs/config.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from shared.errors import Misconfigured

Share = Annotated[float, Meta(gt=0.0, lt=1.0)]
Amount = Annotated[float, Meta(ge=0.0)]
Family = Literal["hist_gradient_boosting", "logistic_regression"]


class SplitSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of the rows for calibration and test; the embargo is a share of the time span, with a minimum."""

    calibration: Share
    test: Share
    embargo: Annotated[float, Meta(ge=0.0, lt=0.2)]
    embargo_hours_min: Annotated[float, Meta(ge=0.0)]
    span_days_min: Annotated[float, Meta(gt=0.0)]
    frauds_min: Annotated[int, Meta(ge=2)]


class CandidateSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A model to try: its name, its family and scikit-learn's parameters."""

    name: str
    family: Family
    params: dict[str, Any] = {}


class CostSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What decisions cost, in BRL, and what reviewers can do.

    `recovered` is the share of a settled fraud that comes back under the MED, `review_detects` the share of frauds
    that a review of a held Pix finds, `review_share_max` the share of all Pix that may be held for review.
    """

    recovered: Annotated[float, Meta(ge=0.0, le=1.0)]
    review_detects: Annotated[float, Meta(ge=0.0, le=1.0)]
    review: Amount
    friction_hold: Amount
    friction_reject: Amount
    review_share_max: Share


class GateSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How much worse a challenger may be: in average precision (absolute) and in cost (relative).

    `lift_min` is the least average precision in multiples of the share of frauds, which is what chance reaches.
    """

    average_precision_margin: Annotated[float, Meta(ge=0.0)]
    cost_margin: Annotated[float, Meta(ge=0.0)]
    lift_min: Annotated[float, Meta(ge=1.0)]


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a retraining."""

    split: SplitSpec
    half_life_days: Annotated[float, Meta(gt=0.0)]
    candidates: Annotated[list[CandidateSpec], Meta(min_length=1)]
    costs: CostSpec
    alert_share: Share
    gate: GateSpec
    seed: int = 0


def load(path: Path) -> Config:
    """Return the configuration in a YAML file. Raises Misconfigured."""
    try:
        return msgspec.convert(yaml.safe_load(path.read_text("utf-8")), Config)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{path}: {error}") from error
