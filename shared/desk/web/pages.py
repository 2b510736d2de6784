"""The pages that are read: queue, case, quality, health, drift, models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from shared.contract.fields import Verdict
from shared.contract.measures import FORETOLD, SAVING
from shared.desk import charts
from shared.desk.case_state import CaseState, Stage
from shared.desk.contest import contest
from shared.desk.contest_plot import contest_plot
from shared.desk.dossier import HABIT, WEEKS, dossier, ids_of, money_behind
from shared.desk.drift import EXPLAINED, INPUTS, SCORES, drift
from shared.desk.errors import NoSuchCase, NotAllowed
from shared.desk.health import MEASURES, health
from shared.desk.money import drawn
from shared.desk.notes import NOTE_MAX
from shared.desk.open_case import OpenCase
from shared.desk.packet.decision import decision_packet
from shared.desk.packet.render import decision_html, policy
from shared.desk.quality import quality
from shared.desk.queue import Filters, seconds_left
from shared.desk.records import CaseId
from shared.desk.roles import User
from shared.desk.series_plot import plot
from shared.desk.web.render import page
from shared.desk.web.session import Site, language
from shared.features.columns import SIDES

VERDICTS = (Verdict.FRAUD, Verdict.LEGITIMATE)
REASONS = ("MULE", "SCAM", "TAKEOVER", "COERCION", "CONFIRMED", "HABIT", "UNCLEAR", "OTHER")
"""Codes of an analyst's reason; their words are in the catalogues."""
QUALITY_DAYS = 28
HEALTH_WINDOW = dt.timedelta(days=100)
"""Days of health on its page: those of a quarter, as a day's labels are mature after 87."""
RECENT = dt.timedelta(days=7)
"""Days whose inputs are read, of which the last one is shown: there are some hundred rows a day."""
MOVES = ("SWAP", "ROLLBACK")
"""Actions of the ledger after which another model serves."""
SHOWN_MAX = 200
"""Cases on a sheet of the queue, and events of the ledger that are shown."""
WHYS = ("RULE", "MODEL", "CONTROL", "SECOND_REVIEW")
TOO_LATE = ("HeldByAnother", "JudgedMeanwhile")
"""Errors of a verdict that another person was faster than."""
OK, CONFLICT, UNPROCESSABLE = 200, 409, 422


class Pages:
    """Answers to GET."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def queue(self, request: Request) -> Response:
        """Return the queue of the user, by the filters in the query."""
        user = await self._site.user(request)
        given = request.query_params
        filters = filters_of(given)
        entries = await self._site.desk.queue(user)
        chosen = [entry for entry in entries if filters.admit(entry)]
        sheet = sheet_of(given.get("sheet", ""), len(chosen))
        shown = chosen[(sheet - 1) * SHOWN_MAX : sheet * SHOWN_MAX]
        now = dt.datetime.now(dt.UTC)
        return self._page(
            "queue",
            request,
            user,
            entries=shown,
            count=len(chosen),
            first=(sheet - 1) * SHOWN_MAX + 1,
            sheet=sheet,
            sheets=sheets(len(chosen)),
            empty="empty" in given,
            left={entry.pix.case.text: seconds_left(entry.pix, now) for entry in shown},
            reasons=sorted({code for entry in entries for code in entry.pix.reasons}),
            filters=filters,
            sides=SIDES,
            whys=WHYS,
            refresh=self._site.settings.refresh_seconds,
            token=self._site.key.token(user.name, "next"),
        )

    async def case(self, request: Request) -> Response:
        """Return the page of a case. Raises NoSuchCase."""
        return await self.form(request, {}, "")

    async def form(self, request: Request, filled: Mapping[str, str], wrong: str) -> Response:
        """Return the page of a case with its form filled; `wrong` names the field that was refused, or the error."""
        user = await self._site.user(request)
        opened = await self._opened(request, user)
        blind = await self._blind(opened, user)
        found = await dossier(opened.pix, self._site.rows, self._site.past, blind)
        pix, at = opened.pix, opened.pix.initiated_at
        return self._page(
            "case",
            request,
            user,
            opened=opened,
            pix=pix,
            found=found,
            left=seconds_left(pix, dt.datetime.now(dt.UTC)),
            holds=opened.holder == user.id,
            awaits_me=_awaits(opened.state, user),
            amounts=charts.amounts(found.sent, at, pix.amount, HABIT.days),
            hours=charts.hours(found.sent, at),
            weeks=charts.days(found.received, at, WEEKS.days),
            verdicts=VERDICTS,
            verdict_reasons=REASONS,
            note_max=NOTE_MAX,
            filled={name: filled.get(name, "") for name in ("verdict", "reason", "note")},
            wrong=wrong,
            too_late=wrong in TOO_LATE,
            status=CONFLICT if wrong in TOO_LATE else UNPROCESSABLE if wrong else OK,
            token=self._site.key.token(user.name, pix.case.text),
        )

    async def packet(self, request: Request) -> Response:
        """Return the document about a decision for the person concerned. Raises NoContact, NoSuchCase, NotAllowed."""
        user = await self._site.user(request)
        opened = await self._opened(request, user)
        if opened.is_blind:
            raise NotAllowed("the document tells the verdict that a blind review must not know")
        contact, now = self._site.settings.review_contact, dt.datetime.now(dt.UTC)
        site = self._site
        found = await decision_packet(opened.pix, opened.state, site.rows, site.past, contact, now)
        return HTMLResponse(
            decision_html(found), headers={"Content-Security-Policy": f"{policy()}; frame-ancestors 'none'"}
        )

    async def money(self, request: Request) -> Response:
        """Return the chain of money behind a case, which a script adds to its page. Raises NoSuchCase."""
        user = await self._site.user(request)
        opened = await self._opened(request, user)
        trace = await money_behind(opened.pix, self._site.past)
        blind = await self._blind(opened, user)
        money = None if trace is None else drawn(trace, ids_of(blind), with_verdicts=not opened.is_blind)
        return self._page("money", request, user, pix=opened.pix, money=money)

    async def quality(self, request: Request) -> Response:
        """Return the figures of reviews."""
        user = await self._site.user(request)
        since = dt.datetime.now(dt.UTC) - dt.timedelta(days=QUALITY_DAYS)
        reviews = await self._site.rows.reviews(since)
        decided = await self._site.rows.reviewed(since)
        figures = quality(reviews, decided, QUALITY_DAYS)
        budget = len(SIDES) * self._site.settings.reviews_per_day
        return self._page("quality", request, user, figures=figures, budget=budget)

    async def health(self, request: Request) -> Response:
        """Return how the system does, day by day."""
        user = await self._site.user(request)
        sides = health(await self._site.watch.health(dt.datetime.now(dt.UTC) - HEALTH_WINDOW, MEASURES))
        plots = {(each.side, series.measure): plot(series) for each in sides for series in each.series}
        return self._page("health", request, user, sides=sides, plots=plots)

    async def drift(self, request: Request) -> Response:
        """Return the moves, and the causes of the days that were explained."""
        user, now, watch = await self._site.user(request), dt.datetime.now(dt.UTC), self._site.watch
        rows = await watch.health(now - HEALTH_WINDOW, (*SCORES, *EXPLAINED))
        found = drift(rows, await watch.health(now - RECENT, INPUTS))
        plots = {series.measure: plot(series) for series in found.scores}
        return self._page("drift", request, user, found=found, plots=plots)

    async def models(self, request: Request) -> Response:
        """Return the ledger of the models, latest first."""
        user = await self._site.user(request)
        ledger = await self._site.watch.ledger(SHOWN_MAX)
        serving = next((row.to_version for row in ledger if row.action in MOVES), None)
        compared = await self._site.watch.health(dt.datetime.now(dt.UTC) - HEALTH_WINDOW, (SAVING, FORETOLD))
        found = contest(compared, ledger)
        drawn = None if found is None else contest_plot(found)
        return self._page("models", request, user, ledger=ledger, serving=serving, contest=found, plot=drawn)

    async def _opened(self, request: Request, user: User) -> OpenCase:
        opened = await self._site.desk.case(case_of(request), user)
        if opened is None:
            raise NoSuchCase("there is no such case")
        return opened

    async def _blind(self, opened: OpenCase, user: User) -> frozenset[CaseId]:
        """Return the cases whose verdicts are hidden; a case that was just judged may not be in the queue yet."""
        own = [opened.pix.case] if opened.is_blind else []
        return (await self._site.desk.blind(user)).union(own)

    def _page(self, name: str, request: Request, user: User, status: int = OK, **values: object) -> Response:
        others = sorted(self._site.roles) if self._site.settings.user else []
        path = request.url.path.removesuffix("/verdict") + (f"?{request.url.query}" if request.url.query else "")
        return page(name, language(request), status, user=user, others=others, path=path, **values)


def case_of(request: Request) -> CaseId:
    """Return the case in a path."""
    return CaseId(request.path_params["end_to_end_id"], request.path_params["side"])


def filters_of(given: Mapping[str, str]) -> Filters:
    """Return the filters in a query or a form."""
    return Filters(given.get("side", ""), given.get("why", ""), given.get("reason", ""))


def sheets(count: int) -> int:
    """Return the number of sheets of a queue.

    >>> sheets(0), sheets(200), sheets(201)
    (1, 1, 2)
    """
    return max(1, -(-count // SHOWN_MAX))


def sheet_of(text: str, count: int) -> int:
    """Return the sheet that a query asks for, the last one there is beyond it, the first one by default.

    >>> sheet_of("2", 1_000), sheet_of("9" * 9, 1_000), sheet_of("-1", 1_000), sheet_of("x", 1_000)
    (2, 5, 1, 1)
    """
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
    return min(max(wanted, 1), sheets(count))


def _awaits(state: CaseState, user: User) -> bool:
    """Return whether a case waits for the user's word on another person's verdict."""
    own = state.judged is not None and state.judged.by_id == user.id
    return state.stage is Stage.AWAITING and user.may_judge and not own
