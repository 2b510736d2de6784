"""Write a document in Portuguese: the explanation of a decision, or the record of suspicions about an account.

Each is one HTML file without a script or another file, which a browser prints or saves as PDF. Both hold pseudonyms
only.

END_TO_END_ID: for the person concerned (LGPD art. 20): the decision, the procedures and criteria of decisions, the
reasons of this one, the facts that none uses, its review by people, and the contact for a review. No figure is about
the other party alone.

--account: for the supervisor (Res. BCB 142/2021, art. 2-A): the suspicions about an account, the findings, when, on
which documents, by whom, and the Pix to the account that were stopped since (`jobs.suspicion` keeps the register).

Exit codes: 0 done, 1 unknown Pix or account, refused or failed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from jobs.cli import arguments, console, interruption, wiring
from shared.desk.packet.account import account_packet
from shared.desk.packet.decision import DecisionPacket, find
from shared.desk.packet.render import account_html, decision_html
from shared.desk.settings import REVIEW_CONTACT
from shared.errors import Misconfigured
from shared.features.columns import SIDES
from shared.settings import Settings


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _packet(options))


def _packet(options: argparse.Namespace) -> tuple[int, object]:
    settings = Settings.from_env(os.environ)
    return _of_account(settings, options) if options.account else _of_decision(settings, options)


def _of_account(settings: Settings, options: argparse.Namespace) -> tuple[int, object]:
    rows = wiring.suspicions(settings).rows(options.account)
    found = asyncio.run(account_packet(options.account, rows, wiring.surroundings(settings), wiring.now()))
    file = options.out or Path(f"packet-account-{options.account}.html")
    _save(file, account_html(found))
    told = {"account_id": found.account_id, "suspicions": len(found.suspicions), "stopped": len(found.stopped)}
    return console.OK, {"outcome": "WRITTEN", **told, "file": str(file)}


def _of_decision(settings: Settings, options: argparse.Namespace) -> tuple[int, object]:
    contact = options.contact or os.environ.get(REVIEW_CONTACT, "")
    rows, past = wiring.desk_rows(settings), wiring.surroundings(settings)
    found = asyncio.run(find(rows, past, options.end_to_end_id, options.side, contact, wiring.now()))
    file = options.out or Path(f"packet-{found.pix.end_to_end_id}-{found.pix.side}.html")
    _save(file, decision_html(found))
    return console.OK, _result(found, file)


def _result(found: DecisionPacket, file: Path) -> dict[str, str]:
    pix = found.pix
    told = {"end_to_end_id": pix.end_to_end_id, "side": pix.side, "decision": pix.decision}
    return {"outcome": "WRITTEN", **told, "review": found.reviewed.review, "file": str(file)}


def _save(file: Path, html: str) -> None:
    """Write a document. Raises Misconfigured if the file cannot be written."""
    try:
        file.write_text(html, "utf-8")
    except OSError as error:
        raise Misconfigured(f"{file} cannot be written: {error.strerror or error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("packet", __doc__)
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("end_to_end_id", nargs="?", metavar="END_TO_END_ID", help="the Pix")
    subject.add_argument("--account", type=arguments.pseudonym, metavar="PSEUDONYM", help="the account")
    parser.add_argument("--side", choices=SIDES, help="whose decision (default: the payer's, else the payee's)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write (default: packet-….html)")
    parser.add_argument("--contact", metavar="TEXT", help=f"contact for a review (default: {REVIEW_CONTACT})")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
