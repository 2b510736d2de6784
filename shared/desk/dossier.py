"""The surroundings of a case: habits of the payer, the payee's last weeks, reports, devices, the chain of money."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Collection, Sequence

from msgspec import Struct

from shared.desk.ports import DeskRows, Surroundings
from shared.desk.reasons import ShownReason, explained
from shared.desk.records import CaseId, CaseStep, HeldPix, Payment, PixFacts, Report
from shared.trace.flow import Trace

HABIT = dt.timedelta(days=90)
WEEKS = dt.timedelta(days=28)
REPORTED = dt.timedelta(days=365)
ANALYST = "ANALYST"
"""Source of the reports that are verdicts of reviewers."""


class KnownDevice(Struct, frozen=True):
    """A device that the payer used before: its pseudonym, how often, and when last."""

    id: str
    count: int
    last: dt.datetime


class Dossier(Struct, frozen=True):
    """Everything about a case beside the decision itself and the chain of money."""

    facts: PixFacts | None
    reasons: Sequence[ShownReason]
    sent: Sequence[Payment]
    received: Sequence[Payment]
    reports: Sequence[Report]
    devices: Sequence[KnownDevice]
    earlier: Sequence[CaseStep]


async def dossier(pix: HeldPix, rows: DeskRows, past: Surroundings, blind: Collection[CaseId]) -> Dossier:
    """Return the surroundings of a case, asked for at once as far as possible, without the verdicts of `blind` cases.

    Raises Unavailable, Misconfigured.
    """
    at = pix.initiated_at
    facts, sent, received, earlier = await asyncio.gather(
        rows.facts(pix.case),
        past.sent(pix.payer_id, at - HABIT, at),
        past.received(pix.payee_id, at - WEEKS, at),
        past.earlier(pix, at - REPORTED),
    )
    reports: Sequence[Report] = () if facts is None else await past.reports(pix, facts, at - REPORTED)
    reports = [each for each in reports if each.source != ANALYST or each.end_to_end_id not in ids_of(blind)]
    told = [each for each in earlier if each.case not in blind]
    reasons = explained(pix.reasons, {} if facts is None else facts.features)
    return Dossier(facts, reasons, sent, received, reports, devices(sent), told)


def ids_of(cases: Collection[CaseId]) -> frozenset[str]:
    """Return the Pix of cases."""
    return frozenset(case.end_to_end_id for case in cases)


def devices(sent: Sequence[Payment]) -> list[KnownDevice]:
    """Return the devices of some payments, the one used most first."""
    counts = Counter(each.device_id for each in sent if each.device_id is not None)
    last = {each.device_id: each.initiated_at for each in sorted(sent, key=lambda each: each.initiated_at)}
    return [KnownDevice(id_, count, last[id_]) for id_, count in counts.most_common()]


async def money_behind(pix: HeldPix, past: Surroundings) -> Trace | None:
    """Return the chain of money of a blocked Pix, which has settled, else of the largest one to its payee before.

    It takes a query for each hop. Raises Unavailable, Misconfigured.
    """
    if pix.decision == "BLOCK" and (found := await past.money(pix.end_to_end_id)) is not None:
        return found
    received = await past.received(pix.payee_id, pix.initiated_at - WEEKS, pix.initiated_at)
    before = [each for each in received if each.decision == "APPROVE" and each.end_to_end_id != pix.end_to_end_id]
    if not before:
        return None
    return await past.money(max(before, key=lambda each: each.amount).end_to_end_id)
