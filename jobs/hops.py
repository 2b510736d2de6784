"""Judge taint by the labels of MED 2.0 on later hops, propose HOP and its half-life, measure recovered amounts.

Taint is the nearness of an account to confirmed fraud. Its precision and recall are listed for each hop. HOP, the
share of taint that a Pix passes on, and the half-life are fitted to closed reports on later hops; both are constants
of the layout of history (shared/features/layout.py), so a change of them is a change of features. Nothing is changed
here.

The measured share of defrauded amounts that came back takes the place of costs.recovered in jobs/config.yaml: with
--publish, the next jobs.retrain uses it.

Exit codes: 0 done, also where labels are too few (outcome NOTHING_TO_DO), 1 failed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.learning.judging.taint import Detection, HopLabels
    from shared.learning.lifecycle.recovery import Recovery


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _hops(options))


def _hops(options: argparse.Namespace) -> tuple[int, object]:
    from shared.learning.judging import taint
    from shared.learning.lifecycle import recovery
    from shared.learning.lifecycle.hops import HopSource

    settings, now = Settings.from_env(os.environ), wiring.now()
    since = now - dt.timedelta(days=options.days)
    place = settings.project, settings.dataset, settings.maturity_days
    queries = wiring.queries(settings)
    source = HopSource(queries, *place, since)
    labels = source.labels()
    detections = taint.detections(labels, source.legitimate())
    measured = recovery.measure(queries, *place, since, now)
    if detections:
        Console(stderr=True).print(_table(detections))
    result = _taint(labels) | {"detections": detections}
    publish = bool(options.publish and measured and measured.suffices)
    if publish and measured:
        recovery.publish(measured, wiring.blobs(settings))
    return console.OK, result | {"recovery": _recovery(measured, publish)}


def _taint(labels: HopLabels) -> dict[str, Any]:
    from shared.features.layout import HOP
    from shared.learning.judging import taint

    known = {"labels": len(labels.fraud), "agreed": int(labels.fraud.sum()), "hop_in_use": HOP}
    if reason := taint.shortage(labels):
        return {"outcome": "NOTHING_TO_DO", "reasons": [reason], "fit": None, **known}
    return {"outcome": "FITTED", "reasons": [], "fit": taint.fit(labels), **known}


def _recovery(measured: Recovery | None, published: bool) -> dict[str, Any]:
    import msgspec

    from shared.learning.lifecycle.recovery import FRAUDS_MIN

    if measured is None:
        return {"proposal": None, "reason": "no fraud is old enough"}
    few = None if measured.suffices else f"{measured.frauds:,} of {FRAUDS_MIN} frauds that a proposal needs"
    proposal = (
        {"costs": {side: {"recovered": round(measured.share, 4)} for side in ("payer", "payee")}}
        if measured.suffices
        else None
    )
    return msgspec.structs.asdict(measured) | {"proposal": proposal, "reason": few, "published": published}


def _table(detections: list[Detection]) -> Table:
    table = Table("hop", "taint", "at least", "frauds", "recall", "95 %", "precision", title="Taint on later hops")
    for each in detections:
        precision = "nothing flagged" if each.precision is None else f"{each.precision:.3f}"
        interval = f"{each.recall_interval.low:.2f} to {each.recall_interval.high:.2f}"
        figures = f"{each.threshold:g}", f"{each.frauds:,}", f"{each.recall:.3f}", interval, precision
        table.add_row(str(each.hop), each.taint, *figures)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("hops", __doc__)
    parser.add_argument(
        "--days",
        type=arguments.days,
        default=365,
        metavar="N",
        help="Pix initiated in the last N days (default: %(default)s)",
    )
    parser.add_argument(
        "--publish", action="store_true", help="let retraining use the measured share, if enough frauds are behind it"
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
