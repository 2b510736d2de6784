"""A user's browser as far as the pages need one: cookies, forms, redirections."""

from __future__ import annotations

import asyncio
import re
from html import unescape

import httpx

from shared.adapters.memory.desk import NamedUser
from shared.contract.pseudonyms import PERSON, Pseudonymiser
from shared.desk.roles import DeskRole, User, roles
from shared.desk.web.app import desk_app
from shared.desk.web.session import USER_COOKIE, Site
from tests.unit.desk.world import World

ROLES = "ana@bank.example=analyst,bia@bank.example=analyst,sol@bank.example=supervisor,rui@bank.example=risk"
OWN = {"sec-fetch-site": "same-origin"}
_PSEUDONYMS = Pseudonymiser(b"k" * 32)


def site(world: World) -> Site:
    return Site(
        world.desk,
        world.rows,
        world.surroundings,
        world.watch,
        NamedUser("ana@bank.example"),
        roles(ROLES),
        world.key,
        lambda email: _PSEUDONYMS.pseudonym(PERSON, email),
        world.settings,
    )


def user(name: str) -> User:
    """Return a user as the site knows them."""
    email = f"{name}@bank.example"
    return User(email, _PSEUDONYMS.pseudonym(PERSON, email), DeskRole.ANALYST)


class Browser:
    """A browser of one user; `html`, `status`, `url` and `headers` are those of the page that is open."""

    def __init__(self, world: World, name: str = "ana", host: str = "localhost:8084") -> None:
        self._app, self._host = desk_app(site(world)), host
        self._cookies = httpx.Cookies({USER_COOKIE: f"{name}@bank.example"})
        self.html, self.status, self.url, self.headers = "", 0, "", httpx.Headers()

    def get(self, path: str) -> str:
        """Open a page and return its HTML."""
        return self._open("GET", path, {}, {})

    def post(self, path: str, headers: dict[str, str] = OWN, **fields: str) -> str:
        """Send a form with the token of the page that is open, and follow its redirection."""
        hidden = dict(re.findall(r'type="hidden" name="(token|seen)" value="([^"]*)"', self.html))
        return self._open("POST", path, headers, hidden | fields)

    def _open(self, method: str, path: str, headers: dict[str, str], fields: dict[str, str]) -> str:
        async def answered() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(
                transport=transport, base_url=f"http://{self._host}", cookies=self._cookies, follow_redirects=True
            ) as client:
                answer = await client.request(method, path, headers=headers, data=fields)
                self._cookies = client.cookies
                return answer

        answer = asyncio.run(answered())
        self.html, self.status, self.url, self.headers = (
            answer.text,
            answer.status_code,
            answer.url.path,
            answer.headers,
        )
        return self.html

    @property
    def text(self) -> str:
        """Return the words of the page."""
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.html)).split())
