"""Score the rows of a period again by any version: its decisions then, and their cost.

Reads pix.score_events (features as served), or Parquet with their columns, and decides each Pix and side as functions
do: by the version's model and thresholds, and by the rules of today, with the control group off. The folder of the
result has decisions as Parquet in order of time, the costs on the labelled Pix of the period (report.json,
report.html), and manifest.json, written last: without it the folder is unfinished. Both engines write the same bytes.

  python -m jobs.batch_score VERSION --from 2026-07-01 --to 2026-10-01 --out q3
  python -m jobs.batch_score VERSION --features features.parquet --engine spark --out gs://bucket/folder

Exit codes: 0 scored, also where the period has no rows (EMPTY), 1 refused or failed; then the folder has no result.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from jobs.cli.batch import Order
    from shared.batch.output import ResultFile
    from shared.batch.run import BatchRun, Result
    from shared.learning.judging.backtest import BacktestReport
    from shared.scoring.bundle import Bundle


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    _check(parser, options)
    wiring.prepare(os.environ)
    return console.run(lambda: _batch_score(options))


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a usage error where options contradict each other."""
    if options.since is None and not options.features:
        parser.error("name a period with --from, or rows with --features")
    if options.since and options.until and options.until <= options.since:
        parser.error("--to is not after --from")
    if options.engine == "local" and (options.master or options.reader or options.reader_option):
        parser.error("--master, --reader and --reader-option are of --engine spark")


def _batch_score(options: argparse.Namespace) -> tuple[int, object]:
    steps = console.Steps()
    with steps("load the version"):
        from jobs.cli.batch import engine_of, report_on, rows_of
        from shared.batch.run import decide_all
        from shared.batch.scoring import features_read
        from shared.learning import config
        from shared.scoring.rules import Rules

        settings, rules = Settings.from_env(os.environ), Rules.load()
        costs = config.load(options.config)
        batch, bundle = _batch(options, settings, rules)
    order, features = _order(options), features_read(bundle, rules)
    with engine_of(order, settings, bundle, features) as engine:
        batch.folder.claim()
        try:
            with rows_of(order, settings, features) as rows:
                result = decide_all(engine, batch, rows, steps)
            with steps("judge"):
                report = report_on(order, settings, bundle, rules, costs)
            _seal(batch, bundle, result, report)
        except BaseException:
            batch.folder.clear()
            raise
    return console.OK, _told(options, result, report, steps.seconds)


def _batch(options: argparse.Namespace, settings: Settings, rules: Any) -> tuple[BatchRun, Bundle]:
    """Return the batch and its model. Raises BundleRefused, Unavailable."""
    from shared.batch.output import ResultFolder
    from shared.batch.run import BatchRun
    from shared.batch.scoring import Method
    from shared.batch.trees import by_columns
    from shared.contract.event import micros
    from shared.scoring.champion import bundle_of, read_files

    files = read_files(wiring.blobs(settings), options.version)
    since, until = (None if each is None else micros(each) for each in (options.since, options.until))
    method = Method(files, tuple(rules.rules), since, until, options.reasons)
    bundle = by_columns(bundle_of(files, options.version), files)
    return BatchRun(method, ResultFolder(options.out), options.span_hours), bundle


def _order(options: argparse.Namespace) -> Order:
    from jobs.cli.batch import Order

    return Order(
        options.since,
        options.until,
        options.features,
        options.engine,
        options.master,
        options.reader,
        dict(options.reader_option),
        options.workers,
        "://" in options.out,
    )


def _seal(batch: BatchRun, bundle: Bundle, result: Result, report: BacktestReport | str) -> None:
    """Write the report, then the manifest."""
    import msgspec

    from shared.batch.run import manifest

    others: list[ResultFile] = []
    if not isinstance(report, str):
        text = msgspec.json.format(msgspec.json.encode(report.backtest)) + b"\n"
        others = [batch.folder.write("report.json", text), batch.folder.write("report.html", report.page)]
    batch.folder.seal(manifest(batch, bundle.version, result, others))


def _told(
    options: argparse.Namespace, result: Result, report: BacktestReport | str, seconds: dict[str, float]
) -> dict[str, object]:
    """Return the last line of output."""
    costs: dict[str, object] = {"missing": report} if isinstance(report, str) else {"notice": report.backtest.notice}
    if not isinstance(report, str):
        costs |= {"rows": report.backtest.rows, "frauds": report.backtest.frauds}
        costs |= {"cost_brl": {one.name: round(one.cost, 2) for one in report.backtest.contenders}}
    return {
        "outcome": "SCORED" if result.rows else "EMPTY",
        "version": options.version,
        "engine": options.engine,
        "out": options.out,
        "rows": result.rows,
        "decisions": result.decisions,
        "files": len(result.files),
        "rows_per_s": round(result.rows / max(seconds["score"] + seconds["write"], 1e-9)),
        "report": costs,
        "steps": seconds,
    }


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("batch_score", __doc__)
    add = parser.add_argument
    add("version", metavar="VERSION", help="a folder under models/ in the bucket")
    add("--from", dest="since", type=arguments.instant, metavar="TIME", help="Pix initiated from then on (RFC 3339)")
    add("--to", dest="until", type=arguments.instant, metavar="TIME", help="... and before then (default: now)")
    add(
        "--features",
        metavar="PARQUET",
        help="a file or folder, or its URI, in place of pix.score_events; with a column verdict it is judged too",
    )
    add("--out", required=True, metavar="DIR", help="a new or empty folder, or its URI (gs://...), for the result")
    add(
        "--reasons",
        choices=["stopped", "all"],
        default="stopped",
        help="explain the Pix that are stopped, or all, as functions do with exact reasons (default: %(default)s)",
    )
    hours = "length of a file in hours; one is in memory at a time (default: %(default)s)"
    add("--span-hours", type=_hours, default=24, metavar="N", help=hours)
    arguments.add_config(add, "costs")
    _add_engine(parser)
    return parser


def _add_engine(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("engine").add_argument
    add("--engine", choices=["local", "spark"], default="local", help="default: %(default)s")
    add("--workers", type=arguments.positive, metavar="N", help="local: threads (default: one for each CPU)")
    add("--master", metavar="URL", help="spark: the master (default: of spark-submit, else this machine)")
    add("--reader", metavar="NAME", help="spark: let its data source NAME read the rows, such as bigquery")
    add(
        "--reader-option",
        type=_option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of that data source; may be repeated",
    )


def _hours(text: str) -> int:
    """Return a whole number of hours that divides a day. Raises ArgumentTypeError."""
    found = arguments.positive(text)
    if 24 % found:
        raise argparse.ArgumentTypeError(f"{text!r} hours do not divide a day")
    return found


def _option(text: str) -> tuple[str, str]:
    """Return an option. Raises ArgumentTypeError."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return name, value


if __name__ == "__main__":
    interruption.leave(main())
