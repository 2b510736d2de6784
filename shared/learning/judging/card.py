"""Render the model card: one page of HTML on a model, its figures, and why it serves or does not."""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from shared.learning.config import Config
from shared.learning.data.label_chance import Representation
from shared.learning.data.unlabelled import Unlabelled
from shared.learning.judging.bootstrap import Interval
from shared.learning.judging.comparison import Contender
from shared.learning.judging.review import Review
from shared.learning.ports import Trial
from shared.scoring.explanation import Kind
from shared.scoring.thresholds import SideThresholds

FOLDER = Path(__file__).parent
TEMPLATE = "card.html.j2"
TRIALS = 20  # shown of the leaderboard


class PeriodFacts(NamedTuple):
    """A period of the data: its purpose, first and last Pix, rows, rows of the payee's side, and frauds."""

    purpose: str
    start: dt.datetime
    end: dt.datetime
    rows: int
    payees: int
    frauds: int


@dataclass(frozen=True, slots=True)
class CardFacts:
    """The facts on a card.

    `outcome` is a sentence on who decides whether the model serves, `findings` are sentences on the quality of the
    data, `unlabelled` the decisions without a label, `representation` how far labelled rows stand for them,
    `suspicions` findings for a person to look at before it serves, `provenance` commit, image and versions by name.
    `maturity_days` is the age in days from which a paid Pix without a confirmed fraud is legitimate.
    `explanation` is how its scores are explained (`shared.scoring.explanation`).
    `trained_age_days` is the age at `as_of` of the newest row that the model to serve has learnt from.
    `refit` is a sentence on the refit, empty without one. `images` are plots as PNG by file name.
    """

    version: str
    created_at: dt.datetime
    trigger: str
    actor: str
    outcome: str
    candidate: str
    family: str
    mode: str
    inputs: int
    explanation: Kind
    thresholds: SideThresholds
    run_id: str
    dataset_hash: str
    as_of: dt.datetime
    maturity_days: float
    trained_age_days: float
    refit: str
    suspicions: Sequence[str]
    provenance: Mapping[str, str]
    findings: Sequence[str]
    unlabelled: Sequence[Unlabelled]
    representation: Representation
    periods: Sequence[PeriodFacts]
    review: Review
    leaderboard: Sequence[Trial]
    images: Mapping[str, bytes]
    config: Config


def model_card(facts: CardFacts) -> bytes:
    """Return the card as one self-contained HTML file."""
    review = facts.review
    return rendered(
        TEMPLATE,
        facts=facts,
        review=review,
        verdict=review.verdict,
        unjudged=[check for check in review.verdict.checks if check.measured is None or check.lacks_data],
        contenders=review.contenders(),
        figures=figures_of(review.contenders()),
        segments=_by_dimension(review.segments),
        disparities=_by_dimension(review.disparities),
        trials=[trial for trial in facts.leaderboard if trial.average_precision is not None][:TRIALS],
        images={Path(name).stem: _inline(data) for name, data in facts.images.items()},
        costs=facts.config.costs,
        gate=facts.config.gate,
    )


def rendered(template: str, **values: Any) -> bytes:
    """Return a page of this folder, in the form of the card."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "plain": lambda share: f"{share * 100:g}%",
        "brl": brl,
        "count": count,
        "figure": figure,
        "day": lambda moment: f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC",
    }
    return environment.get_template(template).render(**values).encode()


def percent(value: float | None) -> str:
    """Return a share in percent, smaller shares with more digits; a dash for None or NaN.

    >>> percent(0.8567), percent(0.00912), percent(0.00004), percent(None)
    ('85.7%', '0.91%', '0.004%', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    digits = 1 if value == 0 or abs(value) >= 0.1 else 2 if abs(value) >= 0.001 else 3
    return f"{value * 100:.{digits}f}%"


def brl(value: float) -> str:
    """Return an amount in BRL, a dash for NaN.

    >>> brl(1234567.8), brl(-5.0), brl(4.5)
    ('R$ 1,234,568', '-R$ 5', 'R$ 4.50')
    """
    if math.isnan(value):
        return "-"
    digits = 0 if abs(value) >= 100 or value == round(value) else 2
    return ("-" if value < 0 else "") + f"R$ {abs(value):,.{digits}f}"


def count(value: float) -> str:
    """Return a rounded count, a dash for NaN.

    >>> count(1234.6)
    '1,235'
    """
    return "-" if math.isnan(value) else f"{value:,.0f}"


def figure(value: float) -> str:
    """Return a figure without a unit, a dash for NaN.

    >>> figure(0.65757), figure(float("nan"))
    ('0.6576', '-')
    """
    return "-" if math.isnan(value) else f"{value:.4f}"


class _Cell(NamedTuple):
    text: str
    interval: str


class _Row(NamedTuple):
    """A row of the table of figures: its name, its meaning, and a cell for each contender."""

    name: str
    meaning: str
    cells: list[_Cell]


_SHOWN = (
    ("cost_per_million", brl, "Cost per million Pix", "settled frauds, reviews, friction for legitimate customers"),
    ("recall", percent, "Frauds stopped", "share of frauds held or rejected (recall)"),
    ("value_detected", percent, "Value detected", "share of defrauded money held or rejected"),
    ("precision", percent, "Precision of stops", "share of frauds among the Pix held or rejected"),
    ("f1", figure, "F1", "harmonic mean of recall and precision"),
    ("held_share", percent, "Held", "of all Pix"),
    ("rejected_share", percent, "Rejected", "of all Pix"),
    ("holds_per_day", count, "Reviews a day", "mean"),
    ("holds_busiest_day", count, "Reviews on the busiest day", ""),
    ("average_precision", figure, "Average precision", "how well scores rank frauds first; 1 is perfect"),
    ("auc", figure, "AUC", "probability that a fraud scores above a legitimate Pix"),
    ("alert_recall", percent, "Recall in the alert budget", "share of frauds among the highest scores"),
    ("alert_precision", percent, "Precision in the alert budget", ""),
    ("calibration_error", figure, "Calibration error", "mean gap between score and share of frauds (ECE, 10 bins)"),
    ("calibration_ratio", figure, "Expected over observed frauds", "1 is ideal"),
    ("log_loss", figure, "Log loss", "lower is better"),
    ("brier", figure, "Brier score", "lower is better"),
)
_ONLY_OF_SCORES = {name for name, *_ in _SHOWN[9:]}  # rules alone have neither probabilities nor a ranking


def figures_of(contenders: Sequence[Contender]) -> list[_Row]:
    """Return the table of figures: a row for each, with a cell for each contender."""
    return list(_rows_of(contenders))


def _rows_of(contenders: Sequence[Contender]) -> Iterable[_Row]:
    for name, text, title, meaning in _SHOWN:
        cells = []
        for one in contenders:
            defined = one.is_model or name not in _ONLY_OF_SCORES
            interval = one.intervals.get(name)
            cells.append(
                _Cell(text(getattr(one.evaluation, name)), _range(interval, text)) if defined else _Cell("-", "")
            )
        yield _Row(title, meaning, cells)


def _range(interval: Interval | None, text: Any) -> str:
    return f"{text(interval.low)} to {text(interval.high)}" if interval else ""


def _by_dimension(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Return rows grouped by their dimension, in the order given."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.dimension, []).append(row)
    return found


def _inline(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()
