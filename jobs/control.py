"""Switch the control group on or off, or show it: a few Pix, chosen by chance, are decided one step milder.

A model learns nothing from Pix that its predecessor stopped. With the control group on, some Pix that the model
alone would reject are held, and some that it would hold are paid (on the payee's side: blocked, and left alone).
Never where a rule fires. Their outcomes stand for the others like them: training and gate weigh them by their chance.
The cost is bounded: a Pix that is paid spends its amount, one that is held spends a review, and once the budget of a
day or a month is spent there are no more of them. A part is reserved for those that are held.

  python -m jobs.control on --share 0.05 --pix-brl 200 --day-brl 1000 --month-brl 20000
  python -m jobs.control show
  python -m jobs.control off --reason "end of the trial"

The score function follows within seconds. Each change is a row of pix.model_ledger, with actor and budget.

Exit codes: 0 done, also where nothing was to change, 1 failed, or the ledger could not be written (`recorded` is
false: the next command writes the row), 3 another change came first.
"""

from __future__ import annotations

import argparse
import os

from jobs.cli import arguments, console, interruption, wiring
from shared.errors import PreconditionFailed
from shared.learning.lifecycle.control import ControlCommands, ControlResult
from shared.scoring.control import Budget
from shared.settings import Settings

_RESERVED = 10  # times in the amount of a day
_AMOUNTS = {
    "pix": "amount from which a Pix has no chance",
    "day": "most that is spent on a local day",
    "month": "most that is spent in a local month",
}


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    budget: Budget | None = None
    if options.command == "on":
        try:
            budget = _budget(options)
        except ValueError as error:
            parser.error(str(error))
    wiring.prepare(os.environ)
    return console.run(lambda: _control(options, budget))


def _budget(options: argparse.Namespace) -> Budget:
    """Return the budget of the options. Raises ValueError."""
    reject_share = options.share if options.reject_share is None else options.reject_share
    reserved = options.day_brl // _RESERVED if options.reserved_brl is None else options.reserved_brl
    amounts = (options.pix_brl, options.day_brl, options.month_brl, options.review_brl, reserved)
    return Budget(options.share, reject_share, *amounts)


def _control(options: argparse.Namespace, budget: Budget | None) -> tuple[int, object]:
    control = wiring.control(Settings.from_env(os.environ))
    try:
        found = _turned(control, options, budget)
    except PreconditionFailed as error:
        return console.LOST, {"outcome": "SWITCH_LOST", "reasons": [str(error)]}
    return console.OK if found.recorded else console.FAILED, found


def _turned(control: ControlCommands, options: argparse.Namespace, budget: Budget | None) -> ControlResult:
    return control.show() if options.command == "show" else control.turn(budget, options.reason)


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("control", __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="on | off | show")
    on = commands.add_parser("on", help="switch it on, or change its budget")
    on.add_argument("--share", type=arguments.share, required=True, help="largest chance of a Pix, 1 at most")
    on.add_argument(
        "--reject-share",
        type=arguments.share,
        metavar="SHARE",
        help="the same of a Pix that the model rejects: held, it costs a review (default: as --share)",
    )
    for name, meaning in _AMOUNTS.items():
        on.add_argument(f"--{name}-brl", type=arguments.price, required=True, metavar="BRL", help=meaning)
    on.add_argument(
        "--review-brl",
        type=arguments.centavos,
        default="4.00",
        metavar="BRL",
        help="cost of a review, spent on a Pix that is held instead of rejected (default: %(default)s)",
    )
    on.add_argument(
        "--reserved-brl",
        type=arguments.centavos,
        metavar="BRL",
        help="what is left for Pix that are held instead of rejected (default: a tenth of --day-brl)",
    )
    off = commands.add_parser("off", help="switch it off")
    commands.add_parser("show", help="show it, and write a row that the ledger lacks")
    for each in (on, off):
        each.add_argument("--reason", default="by hand", help="for the ledger (default: %(default)s)")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
