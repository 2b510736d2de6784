"""Draw the plots of a review as PNG; the same input gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from shared.learning.judging.bootstrap import Estimate
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.evaluate import equal_bins, reliability
from shared.learning.judging.review import Review, importance
from shared.learning.judging.segments import Segment
from shared.learning.ports import Trial
from shared.learning.training.costs import with_rules
from shared.scoring.bundle import Bundle
from shared.scoring.thresholds import SideThresholds

_COLOURS = ("#1f5fa8", "#c8791e", "#6b7280")  # challenger, incumbent, rules
_LEAST = 1e-6  # smallest share drawn on a logarithmic axis
_POINTS = 400  # of a curve
_BINS = 8


def draw(found: Review, bundle: Bundle, period: TestPeriod, trials: Sequence[Trial]) -> dict[str, bytes]:
    """Return every plot of a review by file name; `bundle` is the chosen challenger."""
    contenders = found.contenders()
    images = {
        "precision_recall.png": precision_recall(period, contenders),
        "reliability.png": reliability_curve(period, contenders),
        "cost_by_threshold.png": cost_by_threshold(period, found.challenger, bundle.thresholds),
        "savings.png": savings(found.savings),
        "segments.png": segment_recall(found.segments, found.incumbent_segments),
        "importance.png": importance_bars(importance(bundle, period)),
    }
    return images | ({"leaderboard.png": leaderboard(trials)} if trials else {})


def precision_recall(period: TestPeriod, contenders: Sequence[Contender]) -> bytes:
    """Return the precision-recall curve of each model, and the point of each contender's decisions."""
    figure, axes = _figure(6, 4.2)
    for colour, one in zip(_COLOURS, contenders, strict=False):
        found = one.evaluation
        label = f"{one.name} (average precision {found.average_precision:.3f})"
        if one.is_model:
            precision, recall, _ = precision_recall_curve(
                period.truth.fraud, one.scored.scores, sample_weight=period.weight, drop_intermediate=True
            )
            axes.plot(*_thinned(recall, precision), color=colour, label=label)
        axes.plot(found.recall, found.precision, "o", color=colour, label=None if one.is_model else one.name)
    axes.set(xlabel="recall: share of frauds found", ylabel="precision: share of frauds among what is found")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), title="Scores (lines) and decisions taken (dots)")
    return _png(figure, axes)


def reliability_curve(period: TestPeriod, contenders: Sequence[Contender]) -> bytes:
    """Return observed over expected shares of frauds, in bins of equal expected frauds, above a histogram of scores.

    Frauds are rare, so most bins of equal weight would have none.
    """
    figure = Figure(figsize=(6, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([_LEAST, 1], [_LEAST, 1], ":", color="grey", label="perfect")
    lowest = 0.1
    edges = np.geomspace(1e-5, 1, 41)
    for colour, one in zip(_COLOURS, [one for one in contenders if one.is_model], strict=False):
        scores = one.scored.scores
        bins = equal_bins(scores, scores * period.weight, _BINS)
        found = reliability(scores, period.truth.fraud, period.weight, bins)
        lowest = min([lowest, *(max(part, _LEAST) for bin_ in found for part in (bin_.expected, bin_.observed))])
        expected, observed = [bin_.expected for bin_ in found], [max(bin_.observed, _LEAST) for bin_ in found]
        error = one.evaluation.calibration_error
        above.plot(expected, observed, "o-", color=colour, label=f"{one.name} (calibration error {error:.4f})")
        counts = np.histogram(scores.clip(1e-5, 1), edges, weights=period.weight)[0]
        below.stairs(counts, edges, color=colour)
    above.set(xscale="log", yscale="log", ylabel="observed share of frauds")
    above.set(xlim=(lowest / 2, 1), ylim=(lowest / 2, 1.2))
    below.set(yscale="log", xlabel="score: probability of fraud", ylabel="Pix")
    above.set_title("Are scores true probabilities?")
    return _png(figure, above)


def cost_by_threshold(period: TestPeriod, contender: Contender, by_side: SideThresholds) -> bytes:
    """Return the cost of the side with more rows over each of its thresholds, with the other one fixed as chosen."""
    figure, axes = _figure(6, 4.2)
    payee = bool(period.payees.mean() > 0.5)
    own, thresholds = period.payees == payee, by_side.of("PAYEE" if payee else "PAYER")
    table = (with_rules(period.losses, period.by_rule) * period.weight[:, None])[own]
    order = np.argsort(-contender.scored.scores[own], kind="stable")
    scores = contender.scored.scores[own][order]
    # steps[k]: change in cost if the k highest scores are held instead of approved, and rejected instead of held
    steps = np.vstack([np.zeros(2), np.cumsum(np.diff(table[order], axis=1), axis=0)])
    grid = np.geomspace(max(scores[-1], 1e-4), max(scores[0], 1e-3), _POINTS)
    at_hold, at_reject = np.searchsorted(-scores, [-thresholds.hold, -thresholds.reject], side="right")
    counts = np.searchsorted(-scores, -grid, side="right")
    scale = 1e6 / float(period.weight[own].sum())
    start = float(table[:, 0].sum())
    hold = (start + steps[np.maximum(counts, at_reject), 0] + steps[at_reject, 1]) * scale
    reject = (start + steps[at_hold, 0] + steps[np.minimum(counts, at_hold), 1]) * scale
    for name, cost, chosen, colour in (
        ("hold", hold, thresholds.hold, _COLOURS[1]),
        ("reject", reject, thresholds.reject, _COLOURS[0]),
    ):
        axes.plot(grid, cost, color=colour, label=f"by the threshold to {name}")
        axes.axvline(chosen, color=colour, linestyle="--", label=f"chosen to {name}: {chosen:.3g}")
    title = f"Cost by threshold, {'payee' if payee else 'payer'}'s side, test period"
    axes.set(xscale="log", xlabel="probability", ylabel="R$ per million Pix", title=title)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return _png(figure, axes)


def savings(found: Mapping[str, Estimate]) -> bytes:
    """Return the saving per million Pix over incumbent and rules, with intervals."""
    figure, axes = _figure(6, 0.9 + 0.7 * len(found))
    for row, one in enumerate(found.values()):
        reach = [[one.value - one.interval.low], [one.interval.high - one.value]]
        axes.errorbar([one.value], [row], xerr=reach, fmt="o", color=_COLOURS[0], capsize=5)
    axes.axvline(0, color="grey", linewidth=1)
    axes.set_yticks(range(len(found)), [f"against\n{name}" for name in found])
    axes.set(xlabel="R$ saved per million Pix", ylim=(len(found) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(4))  # labels in millions overlap if there are more
    return _png(figure, axes, legend=False)


def segment_recall(found: Sequence[Segment], incumbent: Sequence[Segment]) -> bytes:
    """Return the share of frauds stopped in each segment, with its interval and the share of the incumbent."""
    shown = [(new, old) for new, old in zip(found, incumbent, strict=True) if new.frauds]
    titles = list(dict.fromkeys(new.dimension for new, _ in shown))
    figure, axes = _figure(7, 0.8 + 0.2 * (len(shown) + 1.4 * len(titles)))
    y, ticks = 0.0, []
    for title in titles:
        axes.text(0.0, y, title, fontsize=8, fontweight="bold", va="center")
        y += 1
        for new, old in (pair for pair in shown if pair[0].dimension == title):
            axes.plot([new.recall_interval.low, new.recall_interval.high], [y] * 2, color=_COLOURS[0], linewidth=2)
            axes.plot(new.recall, y, "o", color=_COLOURS[0], markersize=4)
            axes.plot(old.recall, y, "|", color=_COLOURS[1], markersize=9, markeredgewidth=2)
            ticks.append((y, f"{new.label} ({new.frauds})"))
            y += 1
        y += 0.4
    axes.set_yticks([at for at, _ in ticks], [label for _, label in ticks], fontsize=7)
    axes.set(xlim=(0, 1.01), ylim=(y, -1), xlabel="share of frauds stopped (in brackets: frauds)")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    return _png(figure, axes, legend=False)


def leaderboard(trials: Sequence[Trial]) -> bytes:
    """Return the average precision of every complete trial, one line of dots per candidate, the best on top."""
    done = [(trial.candidate, found) for trial in trials if (found := trial.average_precision) is not None]
    best: dict[str, float] = {}
    for name, found in done:
        best[name] = max(best.get(name, 0.0), found)
    names = sorted(best, key=lambda name: (-best[name], name))
    figure, axes = _figure(6, 1.0 + 0.35 * max(len(names), 1))
    axes.plot([found for _, found in done], [names.index(name) for name, _ in done], "o", alpha=0.5)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="average precision over the folds", ylim=(len(names) - 0.5, -0.5), title="Trials of the search")
    return _png(figure, axes, legend=False)


def importance_bars(found: Sequence[tuple[str, float]]) -> bytes:
    """Return the share of each feature in the scores of frauds, the largest on top."""
    figure, axes = _figure(6, 0.9 + 0.24 * max(len(found), 1))
    axes.barh(range(len(found)), [value for _, value in found], color=_COLOURS[0])
    axes.set_yticks(range(len(found)), [name for name, _ in found], fontsize=8)
    axes.set(ylim=(len(found) - 0.5, -0.5), xlabel="mean fall in the score of frauds with the feature at its median")
    return _png(figure, axes, legend=False)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kept = np.unique(np.linspace(0, len(x) - 1, min(_POINTS, len(x))).round().astype(np.intp))
    return x[kept], y[kept]


def _png(figure: Figure, axes: Axes, legend: bool = True) -> bytes:
    """Return the figure as PNG; metadata is left out, so that equal plots have equal bytes."""
    axes.grid(alpha=0.25)
    if legend:
        axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
