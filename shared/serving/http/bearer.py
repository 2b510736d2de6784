"""The token of a request, where the function itself verifies its callers."""

from __future__ import annotations

from shared.errors import Unauthenticated
from shared.ports.decisions import Callers

_SCHEME = "bearer "


async def check_caller(callers: Callers | None, authorization: str | None) -> None:
    """Verify the token in the header `Authorization`; without `callers`, the platform has done it.

    Raises Unauthenticated, Unavailable.
    """
    if callers is None:
        return
    if authorization is None or not authorization.lower().startswith(_SCHEME):
        raise Unauthenticated("there is no bearer token")
    await callers.verify(authorization[len(_SCHEME) :].strip())
