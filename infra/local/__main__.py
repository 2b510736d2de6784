"""Run the local cloud and both functions in the foreground until Ctrl-C: `make up`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from rich.console import Console

from infra.local.cloud import LocalCloud, PortNumbers, export_lines
from infra.local.errors import LocalCloudError
from jobs.cli import interruption
from shared.contract.topics import TRANSACTIONS

_PORTS = {
    "pubsub": 8085,
    "storage": 9023,
    "bigquery": 9050,
    "bigquery_grpc": 9060,
    "state": 6379,
    "score": 8080,
    "label": 8081,
}


def main(arguments: list[str] | None = None) -> int:
    """Run until interrupted; return the exit status."""
    options = _parser().parse_args(arguments)
    interruption.raise_on_signals()
    console = Console(highlight=False)
    ports = PortNumbers(**{name: getattr(options, f"{name}_port") for name in _PORTS})
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
    except (KeyboardInterrupt, SystemExit) as error:  # both while the local cloud runs
        code = interruption.ending(error)
        console.print("\nstopped")
        return code
    except LocalCloudError as error:
        console.print(f"make up: {error}", style="red", soft_wrap=True)
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
    for name, port in _PORTS.items():
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
    interruption.leave(main())
