"""Keep the register of accounts under well-founded suspicion of fraud (Res. BCB 142/2021, art. 2-A).

  python -m jobs.suspicion open PSEUDONYM --days 30 --found "three reports within a week" --document REPORT:ID
  python -m jobs.suspicion extend PSEUDONYM --days 30 --found "a fourth report" --document REPORT:ID
  python -m jobs.suspicion lift PSEUDONYM --found "the reports were taken back"
  python -m jobs.suspicion list --account PSEUDONYM

An account is named by its pseudonym (payee_id of pix.scores), a document as REPORT:ID, MARKER:ID, RECOVERY:ID or
PIX:ENDTOENDID. Each step is a row of pix.suspicions, with its time and the pseudonym of the user; rows never change.
A finding with the look of personal data is refused.

While a suspicion is in force, every Pix to the account is rejected (PAYEE_UNDER_SUSPICION), from a minute or so after
its opening: the score functions read the register once a minute. Rules of that name also reject by markers in DICT.

Exit codes: 0 done, 1 refused or failed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from collections.abc import Sequence

from jobs.cli import arguments, console, interruption, wiring
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import SuspicionRow
from shared.contract.suspicion import Suspicion, SuspicionState, suspicions
from shared.desk.records import moment
from shared.desk.suspicions import Finding, SuspicionRegister
from shared.settings import Settings


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _suspicion(options))


def _suspicion(options: argparse.Namespace) -> tuple[int, object]:
    settings = Settings.from_env(os.environ)
    if options.command == "list":
        return console.OK, _listed(wiring.suspicions(settings).rows(options.account), options.in_force)
    by_id = Pseudonymiser(settings.hmac_key.encode()).person(options.by or wiring.actor(settings))
    register = SuspicionRegister(wiring.suspicions(settings), by_id, settings.hmac_key_version, wiring.now)
    found = _written(register, options)
    return console.OK, {"outcome": found.rows[-1].event, **_told(found)}


def _written(register: SuspicionRegister, options: argparse.Namespace) -> Suspicion:
    finding = Finding(options.found, tuple(options.document))
    if options.command == "lift":
        return register.lift(options.account, finding)
    write = register.open if options.command == "open" else register.extend
    return write(options.account, finding, dt.timedelta(days=options.days))


def _listed(rows: Sequence[SuspicionRow], in_force: bool) -> dict[str, object]:
    found = [_told(each) for each in suspicions(rows)]
    return {"outcome": "LISTED", "suspicions": [each for each in found if not in_force or _is_in_force(each)]}


def _is_in_force(told: dict[str, object]) -> bool:
    return told["standing"] is SuspicionState.IN_FORCE


def _told(suspicion: Suspicion) -> dict[str, object]:
    opened = suspicion.opened
    told = {"suspicion_id": opened.suspicion_id, "account_id": opened.account_id}
    return {
        **told,
        "standing": suspicion.standing(wiring.now()),
        "opened_at": moment(opened.at),
        "expires_at": suspicion.expires_at,
        "documents": [each for row in suspicion.rows for each in row.documents],
    }


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("suspicion", __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="open | extend | lift | list")
    opening = commands.add_parser("open", help="record a suspicion")
    extending = commands.add_parser("extend", help="let the suspicion in force last longer")
    lifting = commands.add_parser("lift", help="end the suspicion in force")
    for each in (opening, extending, lifting):
        each.add_argument("account", type=arguments.pseudonym, metavar="PSEUDONYM", help="the account")
        each.add_argument("--found", required=True, metavar="TEXT", help="what was found; no personal data")
        each.add_argument(
            "--by", metavar="ADDRESS", help="your address at the desk (default: the user of this command)"
        )
        each.add_argument("--document", action="append", default=[], metavar="KIND:ID", help="may be repeated")
    for each in (opening, extending):
        each.add_argument("--days", type=arguments.days, required=True, metavar="N", help="days until it ends")
    listing = commands.add_parser("list", help="list suspicions with their standing")
    listing.add_argument("--account", type=arguments.pseudonym, metavar="PSEUDONYM", help="of one account alone")
    listing.add_argument("--in-force", action="store_true", help="those in force alone")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
