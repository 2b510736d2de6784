"""The in-memory twin of the callers of a function."""

from __future__ import annotations

from collections.abc import Collection

from shared.errors import Unauthenticated, Unavailable


class MemoryCallers:
    """`shared.ports.decisions.Callers` with some valid tokens; `away` makes it unavailable."""

    def __init__(self, tokens: Collection[str]) -> None:
        self.tokens = set(tokens)
        self.away = False

    async def verify(self, token: str) -> None:
        """Return if a token is valid. Raises Unauthenticated, Unavailable while away."""
        if self.away:
            raise Unavailable("the certificates are away")
        if token not in self.tokens:
            raise Unauthenticated("the token is not one for this service")
