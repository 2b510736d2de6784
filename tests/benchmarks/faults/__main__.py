"""Inject faults while Pix are scored: `make bench-faults`.

The last line of standard output is the result as JSON.

Exit status 0 if nothing was lost, duplicated, changed or scored by an incomplete model.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console

from infra.local.errors import LocalCloudError
from jobs.cli import wiring
from shared.errors import PixError


def main(arguments: list[str] | None = None) -> int:
    """Run the faults and return the exit status."""
    options = _parser().parse_args(arguments)
    wiring.prepare(os.environ)  # before scikit-learn is imported
    from tests.benchmarks.faults.disk import FaultFailed
    from tests.benchmarks.faults.run import run
    from tests.benchmarks.faults.scale import Scale

    signal.signal(signal.SIGINT, signal.default_int_handler)
    console, started = Console(stderr=True, highlight=False), time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="pix-faults-"))

    def log(text: str) -> None:
        console.print(f"{time.monotonic() - started:7.1f} s  {text}", soft_wrap=True)

    try:
        scale = Scale(retraining=not options.no_retrain)
        found = run(options.transactions, options.seed, scale, home, log)
    except (FaultFailed, LocalCloudError, PixError) as error:
        console.print(f"bench-faults: {error}", style="red")
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped")
        return 130
    finally:
        if options.keep:
            console.print(f"logs are in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    for note in found.notes:
        log(note)
    for problem in found.problems:
        console.print(f"WRONG: {problem}", style="red", soft_wrap=True)
    sys.stdout.write(msgspec.json.encode(found.result).decode() + "\n")
    return 1 if found.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.faults", description=__doc__)
    parser.add_argument("--transactions", type=int, default=100_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="default: %(default)s")
    parser.add_argument("--no-retrain", action="store_true", help="skip the retraining on a full disk (needs root)")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
