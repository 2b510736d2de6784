"""Trace the money of a Pix through the accounts behind it, as a funds recovery of MED 2.0 does.

Hop 1 is the Pix itself, the root. Hop 2 holds the settled Pix that its payee sent within the hop window after the
money came in, and so on. Amounts are net of returns. A Pix back to an account on its path is shown, but not followed.
Of each Pix, the share of the root's money is counted by first in, first out: an account never passes on more of it
than it received.

Only Pix that were scored here are known. A Pix that was scheduled more than a day before it settled is found as a
root only.

Standard output has the tree, or with --json only the last line, which then lists each Pix. Exit codes: 0 done, also
where no money moved (outcome NOT_SETTLED or RETURNED), 1 unknown Pix, refused or failed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.cli import arguments, console, interruption, wiring
from shared.errors import Misconfigured
from shared.settings import Settings
from shared.trace import dot, result, svg, text
from shared.trace.flow import Trace
from shared.trace.graph import TraceLimits
from shared.trace.source import TraceSource

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULTS = TraceLimits()
VENDOR = "the sample of a vendor's client, Celcoin; DICT names the parameter without a value"


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _trace(options))


def _trace(options: argparse.Namespace) -> tuple[int, object]:
    settings = Settings.from_env(os.environ)
    limits = TraceLimits(options.max_hops, options.hop_window, options.min_amount, options.max_transactions)
    source = TraceSource(wiring.queries(settings), settings.project, settings.dataset, settings.maturity_days)
    found = source.trace(options.end_to_end_id, limits)
    if isinstance(found, Trace):
        _save(found, options.dot, dot.render)
        _save(found, options.svg, svg.render)
        if not options.json:
            sys.stdout.write(text.render(found))
    return console.OK, result.of(options.end_to_end_id, found, with_steps=options.json)


def _save(trace: Trace, file: Path | None, render: Callable[[Trace], str]) -> None:
    """Write a picture of a trace. Raises Misconfigured if the file cannot be written."""
    if file is None:
        return
    try:
        file.write_text(render(trace), "utf-8")
    except OSError as error:
        raise Misconfigured(f"{file} cannot be written: {error.strerror or error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("trace", __doc__)
    parser.add_argument("end_to_end_id", metavar="END_TO_END_ID", help="the root")
    _add_limits(parser.add_argument_group("limits (TrackingGraphParameters of DICT)").add_argument)
    _add_output(parser.add_argument_group("output").add_argument)
    return parser


def _add_limits(add: Callable[..., object]) -> None:
    add(
        "--max-hops",
        type=arguments.positive,
        default=DEFAULTS.hops_max,
        metavar="N",
        help=f"MaxHops: hops, the root included (default: %(default)s, as the press says and {VENDOR})",
    )
    add(
        "--hop-window",
        type=arguments.span,
        default=DEFAULTS.hop_window,
        metavar="HOURS",
        help=f"HopWindow: longest time between money in and money out (default: 2, {VENDOR})",
    )
    add(
        "--min-amount",
        type=arguments.centavos,
        default=DEFAULTS.amount_min,
        metavar="BRL",
        help=f"MinTransactionAmount: least amount of a Pix after the root (default: 200.00, {VENDOR})",
    )
    add(
        "--max-transactions",
        type=arguments.positive,
        default=DEFAULTS.transactions_max,
        metavar="N",
        help=f"MaxTransactions: Pix, the root included; the largest of a hop first (default: %(default)s, {VENDOR})",
    )


def _add_output(add: Callable[..., object]) -> None:
    add("--json", action="store_true", help="no tree; the result lists each Pix")
    add("--dot", type=Path, metavar="FILE", help="write a graph for Graphviz")
    add("--svg", type=Path, metavar="FILE", help="write a picture for a browser")


if __name__ == "__main__":
    interruption.leave(main())
