"""Documents as HTML: one file, which loads nothing and runs nothing, and says so to the browser by its own policy."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from shared.desk.packet.account import AccountPacket
from shared.desk.packet.decision import DecisionPacket
from shared.desk.packet.words import packet_words
from shared.desk.reasons import ShownReason
from shared.desk.records import moment
from shared.desk.templating import environment
from shared.desk.web.formats import Formats
from shared.desk.web.texts import PORTUGUESE, texts
from shared.features.catalogue import FEATURES
from shared.scoring.reason_words import reason_words

UNDER_SUSPICION = "PAYEE_UNDER_SUSPICION"
"""Reason code of the rules that refuse a Pix to an account under suspicion."""
CSS_FILE = Path(__file__).with_name("packet.css")


def decision_html(packet: DecisionPacket) -> str:
    """Return the document about a decision. Raises Misconfigured."""
    return _environment().get_template("decision.html.j2").render(packet=packet)


def account_html(packet: AccountPacket) -> str:
    """Return the record of the suspicions about an account. Raises Misconfigured."""
    return _environment().get_template("account.html.j2").render(packet=packet)


@cache
def policy() -> str:
    """Return the Content-Security-Policy of a document: its own style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_css().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'none'; base-uri 'none'"


@cache
def _css() -> str:
    return CSS_FILE.read_text("utf-8")


@cache
def _environment() -> Environment:
    found = environment("shared.desk.packet")
    words = texts(PORTUGUESE)
    found.globals |= {
        "css": Markup(_css()),  # noqa: S704 (a file of ours; escaped, its quotes would be others than those of the hash)
        "f": Formats(PORTUGUESE, words),
        "features": len(FEATURES),
        "policy": Markup(policy()),  # noqa: S704 (a text of ours)
        "moment": moment,
        "reason_text": _reason_text,
        "t": words,
        "rule": reason_words().by_code[UNDER_SUSPICION],
        "rule_norm": packet_words().norms[UNDER_SUSPICION],
        "w": packet_words(),
    }
    return found


def _reason_text(reason: ShownReason) -> str:
    """Return a reason in words; a code without any as it is."""
    return reason.code if reason.words is None else reason.words.pt
