"""Train a challenger on served features, judge it against the champion, publish it, and swap it in if it passes.

Exit codes: 0 done (also: nothing to do, or the champion stays), 1 failed, 3 another swap came first, 4 the gate lets
the challenger serve and a person has to look first, as a feature may contain the label, or was not compared with a
replay (jobs.skew): jobs.promote confirms it. The outcome TOO_FEW means that the labels are too few for a verdict:
nothing is wrong, so the exit code is 0. Every result is a row of pix.model_ledger, a training set unfit to learn from
included; other failures are in the log, and in MLflow once the run is open.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.learning.config import Config


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.snapshot and options.as_of:
        parser.error("--snapshot fixes the training set: leave --as-of out")
    if options.snapshot and options.engine != "local":
        parser.error("--snapshot has the sample, not all rows: leave --engine out")
    if options.master and options.engine == "local":
        parser.error("--master is of --engine spark")
    wiring.prepare(os.environ)
    return console.run(lambda: _retrain(options))


def _retrain(options: argparse.Namespace) -> tuple[int, object]:
    import msgspec

    steps = console.Steps()
    with steps("start"):
        from jobs.cli.training import engine_of
        from shared.learning import config
        from shared.learning.lifecycle import recovery
        from shared.learning.lifecycle.request import Request
        from shared.learning.lifecycle.retraining import retrain

        settings = _changed(config.load(options.config), options)
        deployment = Settings.from_env(os.environ)
    as_of, actor = options.as_of or wiring.now(), wiring.actor(deployment)
    request = Request(as_of, options.trigger, actor, options.promote, options.snapshot)
    with engine_of(options.engine, options.master, deployment, settings.all_rows) as engine:
        services = wiring.services(deployment, engine)
        measured = None if options.recovered == "configured" else recovery.published(services.blobs, wiring.now())
        settings = recovery.with_recovery(settings, measured)
        outcome = retrain(services, settings, request, steps)
    code = {"SWAP_LOST": console.LOST, "SUSPECTED": console.ASKED}.get(outcome.outcome, console.OK)
    result = msgspec.structs.asdict(outcome)
    recovered = {"payer": settings.costs.payer.recovered, "payee": settings.costs.payee.recovered}
    result |= {"recovered": recovered, "recovery_measured_at": measured and measured.measured_at}
    return code, result | {"seconds": round(sum(steps.seconds.values()), 1), "steps": steps.seconds}


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("retrain", __doc__)
    _add_when(parser.add_argument_group("when to train, and whether to promote").add_argument)
    _add_training_set(parser.add_argument_group("training set").add_argument)
    _add_how(parser.add_argument_group("how").add_argument)
    return parser


def _add_when(add: Callable[..., object]) -> None:
    add(
        "--trigger",
        choices=["auto", "manual"],
        default="manual",
        help="train in any case, or only if drift, a fall of performance, new labels or the schedule ask for it; the "
        "ledger records which (default: %(default)s)",
    )
    add(
        "--promote",
        choices=["gate", "never", "always"],
        default="gate",
        help="who decides about the swap: the gate, nobody, or you (recorded as a manual decision; "
        "default: %(default)s)",
    )


def _add_training_set(add: Callable[..., object]) -> None:
    add(
        "--as-of",
        type=arguments.moment,
        metavar="TIME",
        help="labels known at that time (RFC 3339, or `now`; default: now)",
    )
    add(
        "--snapshot",
        metavar="HASH",
        help="the training set of an earlier run; a full training gives the same model",
    )


def _add_how(add: Callable[..., object]) -> None:
    arguments.add_config(add, "candidates, split, costs and gate")
    add(
        "--recovered",
        choices=["measured", "configured"],
        default="measured",
        help="share of a fraud that comes back: as jobs.hops --publish measured it in the last 180 days, else as "
        "configured; or as configured in any case (default: %(default)s)",
    )
    add("--mode", choices=["full", "incremental"], help="train only in this mode (default: as configured)")
    add(
        "--engine",
        choices=["local", "spark"],
        default="local",
        help="spark: take the sample, evaluate the search and fit the candidates `all_rows` by Spark, which needs "
        "Java 17 and `make spark` (default: %(default)s)",
    )
    add("--master", metavar="URL", help="spark: the master (default: of spark-submit, else this machine)")
    add(
        "--trials",
        type=arguments.positive,
        metavar="N",
        help="trials of the search (default: as configured)",
    )


def _changed(settings: Config, options: argparse.Namespace) -> Config:
    """Return the configuration, overridden by the command line."""
    import msgspec

    if options.mode:
        settings = msgspec.structs.replace(settings, modes=[options.mode])
    if options.trials:
        settings = msgspec.structs.replace(
            settings, search=msgspec.structs.replace(settings.search, trials=options.trials)
        )
    return settings


if __name__ == "__main__":
    interruption.leave(main())
