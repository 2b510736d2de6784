"""Run a command on a schedule until Ctrl-C, SIGTERM or SIGHUP, one run at a time, as Cloud Scheduler runs jobs."""

from __future__ import annotations

import argparse
import logging
import sys

from infra.local.scheduler.cron import parse_schedule
from infra.local.scheduler.scheduler import Scheduler, run_command
from jobs.cli import interruption

log = logging.getLogger("scheduler")


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.scheduler", description=__doc__)
    parser.add_argument("schedule", type=parse_schedule, help="'@every 60s' or the five fields of cron, in UTC")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command, such as python -m jobs.retrain")
    options = parser.parse_args(arguments)
    if not options.command:
        parser.error("no command given")
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(name)s %(message)s")
    interruption.raise_on_signals()
    with Scheduler(options.schedule, run_command(options.command)) as scheduler:
        try:
            scheduler.wait()
        except interruption.Interrupted as interrupted:
            interruption.ending(interrupted)
            log.info("stopped")


if __name__ == "__main__":
    main()
