"""A request's user, language and form, and the checks that it comes from a page of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from msgspec import Struct
from starlette.requests import Request

from shared.desk.desk import Desk
from shared.desk.keyed import DeskKey
from shared.desk.ports import DeskRows, Identity, Surroundings, Watch
from shared.desk.roles import DeskRole, User, role_of
from shared.desk.settings import DeskSettings
from shared.desk.web.texts import LANGUAGES, PORTUGUESE
from shared.errors import PixError

FORM_BYTES_MAX = 16 * 1024
FIELDS_MAX = 20
LANGUAGE_COOKIE, USER_COOKIE = "desk_lang", "desk_user"


class Unknown(PixError):
    """No proof of who sends the request, or a person without a role; answer 403."""


class Forged(PixError):
    """The form is not from a page of ours, or of another user; answer 403."""


class Site(Struct, frozen=True):
    """The parts behind the pages; `pseudonym` is that of an analyst."""

    desk: Desk
    rows: DeskRows
    past: Surroundings
    watch: Watch
    identity: Identity
    roles: Mapping[str, DeskRole]
    key: DeskKey
    pseudonym: Callable[[str], str]
    settings: DeskSettings

    async def user(self, request: Request) -> User:
        """Return the user of a request. Raises Unknown, Unavailable."""
        email = await self.identity.email(request.headers)
        role = role_of(email, self.roles) if email else None
        if email is None or role is None:
            raise Unknown("no user with a role")
        return User(email, self.pseudonym(email), role)

    async def form(self, request: Request) -> Mapping[str, str]:
        """Return the fields of a form that one of our pages sent. Raises Forged."""
        if not is_own(request.headers):
            raise Forged("the form comes from another site")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > FORM_BYTES_MAX:
                raise Forged("the form is larger than ours")
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX))
        except ValueError as error:
            raise Forged("the form is unreadable") from error

    def proven(self, form: Mapping[str, str], user: User, about: str) -> str:
        """Return the token of a form. Raises Forged if it was not made for this user and subject."""
        token = form.get("token", "")
        if not self.key.is_token(token, user.name, about):
            raise Forged("the form's token is not ours")
        return token


def language(request: Request) -> str:
    """Return the language of the user, Portuguese by default."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, PORTUGUESE)
    return chosen if chosen in LANGUAGES else PORTUGUESE


def is_own(headers: Mapping[str, str]) -> bool:
    """Return whether a request comes from the same site, by Sec-Fetch-Site or, without it, by Origin.

    >>> is_own({"sec-fetch-site": "cross-site"}), is_own({"origin": "https://desk.example", "host": "desk.example"})
    (False, True)
    """
    fetched = headers.get("sec-fetch-site")
    if fetched is not None:
        return fetched == "same-origin"
    return headers.get("origin", "").rpartition("//")[2] == headers.get("host")


def local_path(text: str) -> str:
    """Return a path of this site, else that of the queue.

    >>> local_path("/quality"), local_path("//evil.example"), local_path("https://evil.example")
    ('/quality', '/', '/')
    """
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) else "/"
