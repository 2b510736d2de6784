"""Run the local cloud and both functions in the foreground until Ctrl-C: `make up`."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from pathlib import Path

from rich.console import Console

from infra.local.cloud import LocalCloud, PortNumbers, export_lines
from infra.local.environment import isolate_program
from infra.local.errors import LocalCloudError, describe
from infra.local.loopback import PORTS
from shared.contract.topics import TRANSACTIONS


def main(arguments: list[str] | None = None) -> int:
    """Run until interrupted; return the exit status."""
    options = _parser().parse_args(arguments)
    isolate_program()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    console = Console(highlight=False)
    ports = PortNumbers(**{name: getattr(options, f"{name}_port") for name in PORTS})
    try:
        with (
            console.status("starting ...") as status,
            LocalCloud(
                _emptied(options.home), ports, options.pubsub, lambda step: status.update(f"starting {step} ...")
            ) as cloud,
        ):
            cloud.start_functions()
            status.stop()
            console.print(_greeting(cloud), soft_wrap=True)
            cloud.wait()
    except KeyboardInterrupt:
        console.print("\nstopped")
    except (LocalCloudError, OSError) as error:
        console.print(f"make up: {describe(error)}", style="red", soft_wrap=True, markup=False)
        return 1
    return 0


def _emptied(home: Path) -> Path:
    shutil.rmtree(home, ignore_errors=True)
    return home


def _greeting(cloud: LocalCloud) -> str:
    return f"""The local cloud is ready ({cloud.pubsub_kind} Pub/Sub). In another shell, run:

{export_lines(cloud.exports)}

Then publish to {TRANSACTIONS} and query {cloud.settings.dataset}.scores, for example with:

  .venv/bin/python -m infra.deploy.smoke

Logs are in {cloud.home}. Ctrl-C stops all processes."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    for name, port in PORTS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}-port",
            type=int,
            default=port,
            metavar="PORT",
            help="port, 0 for any free one (default: %(default)s)",
        )
    parser.add_argument(
        "--pubsub",
        choices=("google", "embedded"),
        help="kind of Pub/Sub (default: Google's emulator if installed, else embedded)",
    )
    parser.add_argument(
        "--home",
        type=Path,
        default=Path(".local/cloud"),
        help="directory for its files, emptied first (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
