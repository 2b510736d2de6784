"""The forms of the desk. Each answers with a redirection, so that back and reload send nothing again."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shared.contract.fields import Verdict
from shared.desk.errors import HeldByAnother, JudgedMeanwhile
from shared.desk.notes import NOTE_MAX, has_personal_data
from shared.desk.open_case import Judgement
from shared.desk.records import CaseId
from shared.desk.web.pages import REASONS, VERDICTS, Pages, case_of, filters_of
from shared.desk.web.session import LANGUAGE_COOKIE, USER_COOKIE, Forged, Site, Unknown, local_path
from shared.desk.web.texts import LANGUAGES
from shared.errors import Malformed

SEE_OTHER = 303
_YEAR = 365 * 86_400


class Actions:
    """Answers to POST."""

    def __init__(self, site: Site, pages: Pages) -> None:
        self._site, self._pages = site, pages

    async def take_next(self, request: Request) -> Response:
        """Take the next case by the filters of the form, and show it."""
        user, form = await self._site.user(request), await self._site.form(request)
        token = self._site.proven(form, user, "next")
        filters = filters_of(form)
        case = await self._site.desk.take_next(user, token, filters.admit)
        return _to(f"/?{urlencode({**asdict(filters), 'empty': 1})}" if case is None else path_of(case))

    async def take(self, request: Request) -> Response:
        """Take a case."""
        user, form, case = await self._site.user(request), await self._site.form(request), case_of(request)
        await self._site.desk.take(case, user, self._site.proven(form, user, case.text))
        return _to(path_of(case))

    async def give_back(self, request: Request) -> Response:
        """Return a case to the queue."""
        user, form, case = await self._site.user(request), await self._site.form(request), case_of(request)
        await self._site.desk.give_back(case, user, self._site.proven(form, user, case.text))
        return _to("/")

    async def judge(self, request: Request) -> Response:
        """Judge a case; a form with a wrong field, or one that came too late, is shown again."""
        user, form, case = await self._site.user(request), await self._site.form(request), case_of(request)
        token = self._site.proven(form, user, case.text)
        try:
            judgement = _judgement(form, token)
        except Malformed as error:
            return await self._pages.form(request, form, error.field or "")
        try:
            await self._site.desk.judge(case, user, judgement)
        except (HeldByAnother, JudgedMeanwhile) as error:  # the words of the form are not lost
            return await self._pages.form(request, form, type(error).__name__)
        return _to(path_of(case))

    async def answer(self, request: Request) -> Response:
        """Agree or disagree with another person's verdict."""
        user, form, case = await self._site.user(request), await self._site.form(request), case_of(request)
        token = self._site.proven(form, user, case.text)
        await self._site.desk.answer(case, user, form.get("answer") == "AGREED", token, form.get("seen", ""))
        return _to(path_of(case))

    async def speak(self, request: Request) -> Response:
        """Choose a language."""
        form = await self._site.form(request)
        response = _to(local_path(form.get("to", "/")))
        if form.get("lang") in LANGUAGES:
            response.set_cookie(LANGUAGE_COOKIE, form["lang"], _YEAR, httponly=True, samesite="lax")
        return response

    async def become(self, request: Request) -> Response:
        """Become another named user of a local cloud. Raises Unknown where users prove who they are."""
        form = await self._site.form(request)
        if not self._site.settings.user or form.get("user") not in self._site.roles:
            raise Unknown("no such named user")
        response = _to(local_path(form.get("to", "/")))
        response.set_cookie(USER_COOKIE, form["user"], httponly=True, samesite="lax")
        return response


def path_of(case: CaseId) -> str:
    """Return the path of the page of a case."""
    return f"/cases/{case.end_to_end_id}/{case.side}"


def _judgement(form: Mapping[str, str], token: str) -> Judgement:
    """Return the content of a verdict form. Raises Malformed, Forged."""
    verdict, reason, note = form.get("verdict", ""), form.get("reason", ""), form.get("note", "").strip()
    if verdict not in VERDICTS:
        raise Malformed("missing_field", "verdict")
    if reason not in REASONS:
        raise Malformed("missing_field", "reason")
    if len(note) > NOTE_MAX:
        raise Forged("the note is longer than its field")
    if has_personal_data(note):
        raise Malformed("invalid_value", "note")
    return Judgement(Verdict(verdict), reason, note, token, form.get("seen", ""))


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, SEE_OTHER)
