"""Run the local cloud and its functions in the foreground until Ctrl-C: `make up`.

It continues the world in its folder, with the rows, history and models there: `make demo` makes one.
"""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console

from infra.local.cloud import LocalCloud, PortNumbers, export_lines
from infra.local.command import add_home, run, shown
from infra.local.home import Home, claimed
from infra.local.loopback import PORTS
from infra.local.prometheus.launch import PORT, SETTING, PrometheusServer, watching
from jobs.cli import interruption
from shared.contract.topics import OUTCOMES, TRANSACTIONS
from shared.settings import ASSUMED, CLAIM_SECONDS, PUBLISHED

COMMAND = "make up"
NO_MODEL = "No model serves, so rules alone decide; `make demo` makes a world with one."
_QUERY = "SELECT decision, COUNT(*) AS n FROM pix.scores GROUP BY decision"


def main(arguments: list[str] | None = None) -> int:
    """Run until interrupted; return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    return run(COMMAND, lambda: _up(options, console), console)


def _up(options: argparse.Namespace, console: Console) -> int:
    with claimed(options.home, COMMAND) as home:
        _run(options, home, console)
    return 0


def _run(options: argparse.Namespace, home: Home, console: Console) -> None:
    chosen = {name: 0 if options.free_ports else getattr(options, f"{name}_port") for name in PORTS}
    ports = PortNumbers(**chosen).claimed()
    if options.fresh and (earlier := home.set_aside()):
        console.print(f"The world that was here is now in {shown(earlier)}.", soft_wrap=True)
    beginning, marker = _beginning(home), home.open()
    with (
        _watching(options, home) as prometheus,
        console.status("starting ...") as status,
        LocalCloud(
            home.path,
            ports,
            options.pubsub,
            lambda step: status.update(f"starting {step} ..."),
            persistent=True,
            bigquery_memory="",
            maturity_days=marker.maturity_days,
            outcomes=options.outcomes,
            state_claim_seconds=CLAIM_SECONDS,  # its traffic is of now, and each life takes 1.1 kB
            **(prometheus.settings if prometheus else {}),
        ) as cloud,
    ):
        console.print(beginning, soft_wrap=True)
        cloud.start_functions(pull=options.pull)
        greeting = _greeting(cloud, cloud.start_desk())
        if prometheus:
            cloud.start(prometheus.child)
            greeting += f"\nMetrics and alerts of the functions are at {prometheus.url}/alerts"
        home.publish(cloud.exports)
        status.stop()
        console.print(greeting, markup=False, soft_wrap=True)
        cloud.wait()


def _watching(options: argparse.Namespace, home: Home) -> AbstractContextManager[PrometheusServer | None]:
    if options.prometheus is None:
        return nullcontext()
    port = 0 if options.free_ports and options.prometheus == PORT else options.prometheus
    return watching(home.path / "prometheus", port)


def _beginning(home: Home) -> str:
    if home.is_world:
        return f"Continuing the world in {shown(home.path)}."
    return (
        f"No world in {shown(home.path)} yet: this one starts empty. `make demo` makes one with history and a model "
        "in a few minutes."
    )


def _greeting(cloud: LocalCloud, desk: str) -> str:
    champion = cloud.champion()
    rebuilt = f"History was rebuilt from {cloud.rebuilt:,} rows, as the last stop was not clean.\n"
    serving = f"Model {champion} serves." if champion else NO_MODEL
    return f"""{rebuilt if cloud.rebuilt else ""}The local cloud is ready ({cloud.pubsub_kind} Pub/Sub). {serving}
{cloud.settings.dataset}.scores continues after {cloud.scored():,} rows.
The case desk is at {desk}

In another shell, run:

{export_lines(cloud.exports)}

Then publish to {TRANSACTIONS} and {OUTCOMES}, and query {cloud.settings.dataset}.scores, for example with:

  .venv/bin/python -m infra.deploy.smoke   publish one Pix and its outcome, and show their rows
  make traffic RATE=20                     publish the simulator's Pix and outcomes until Ctrl-C
  .venv/bin/python -m infra.local.query "{_QUERY}"
  make mlflow                              the pages of MLflow: runs, models, cards
  .venv/bin/python -m jobs.monitor         measure the last seven days, for {desk}health

Decisions can also be asked for: POST the same message to {cloud.address("decide")}v1/decisions
({cloud.address("decide")}v1/openapi.json describes it).

Logs are in {shown(cloud.home)}. Ctrl-C stops all processes; `make up` continues here."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, port in PORTS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}-port",
            type=int,
            default=port,
            metavar="PORT",
            help="port, 0 for any free one (default: %(default)s)",
        )
    parser.add_argument("--free-ports", action="store_true", help="take a free port for each server")
    parser.add_argument(
        "--pubsub",
        choices=("google", "embedded"),
        help="kind of Pub/Sub (default: Google's emulator if installed, else embedded)",
    )
    parser.add_argument(
        "--outcomes",
        choices=(ASSUMED, PUBLISHED),
        default=ASSUMED,
        help="whether an approved Pix has settled, or has once pix-outcomes says so (default: %(default)s)",
    )
    parser.add_argument(
        "--pull", action="store_true", help="workers pull their messages, in place of functions that get them pushed"
    )
    parser.add_argument(
        SETTING,
        type=int,
        nargs="?",
        const=PORT,
        metavar="PORT",
        help="run an installed Prometheus with our alerts on the functions' metrics (default port: %(const)s)",
    )
    add_home(parser)
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="start empty; a world that is there replaces the one in DIR.old",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
