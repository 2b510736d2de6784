"""Settings of the desk, beside `shared.settings`: read once from the environment, by its entry point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from shared.errors import Misconfigured
from shared.setting_limits import ABOVE_ZERO, ONE, Least
from shared.settings import Settings

_LIMITS: Mapping[str, Least] = {
    "lock_seconds": ABOVE_ZERO,
    "agreement_brl": Least(0),
    "second_share": Least(0, most=1),
    "second_days": ABOVE_ZERO,
    "refresh_seconds": ABOVE_ZERO,
    "reviews_per_day": ONE,
}
_KINDS = {"str": str, "int": int, "float": float}
REVIEW_CONTACT = "PIX_DESK_REVIEW_CONTACT"
"""Variable of `DeskSettings.review_contact`, which `jobs.packet` reads too."""


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """Each field is read from PIX_DESK_ and its name in capitals."""

    roles: str = ""
    """Roles by address or domain: `ana@bank.example=analyst,*@risk.example=risk`; anybody else is refused."""
    audience: str = ""
    """Audience of the header that IAP signs: `/projects/NUMBER/global/backendServices/ID` behind a load balancer."""
    user: str = ""
    """Address of the user where there is no IAP; only with an emulator, and only while `audience` is empty.

    The desk then also offers to become any other user in `roles`.
    """
    lock_seconds: float = 600.0
    """Seconds that a case stays with the person who took it; a verdict takes some minutes."""
    agreement_brl: float = 5_000.0
    """Amount in BRL from which a second person has to agree with a verdict."""
    second_share: float = 0.05
    """Share of the judged cases that another person judges a second time, blind."""
    second_days: float = 7.0
    """Days after the first verdict in which the second one is asked for."""
    refresh_seconds: float = 5.0
    """Seconds between two looks of an open queue, and time for which an instance keeps the rows of its last read.

    While anybody has the queue open, each instance reads that often, whatever the number of people: the rows of four
    days in `holds`, one scan of `reviews`, and one of the days of the Pix that wait for a second verdict. It scans
    the outcomes and reports of four days once a minute. Where BigQuery bills by bytes, a longer time is cheaper.
    """
    review_contact: str = ""
    """Contact for requests to review a decision (LGPD art. 20), such as that of the data protection officer.

    Documents for a person name it; without one there are none.
    """
    reviews_per_day: int = 500
    """Cases that the team can judge in a day and side: `reviews_per_day_max` of jobs/config.yaml."""

    def __post_init__(self) -> None:
        """Raise Misconfigured with the name of a variable."""
        for name, least in _LIMITS.items():
            if not least.admits(getattr(self, name)):
                raise Misconfigured(f"{_variable(name)} is not a finite number of {least}")

    @classmethod
    def from_env(cls, env: Mapping[str, str], settings: Settings) -> DeskSettings:
        """Return the settings in `env`. Raises Misconfigured with the name of a variable."""
        values: dict[str, Any] = {
            f.name: _read(env, f.name, str(f.type)) for f in fields(cls) if env.get(_variable(f.name))
        }
        found = cls(**values)
        emulated = bool(settings.bigquery_emulator_host)
        if bool(found.audience) == bool(found.user):
            raise Misconfigured("set PIX_DESK_AUDIENCE, or PIX_DESK_USER on a local cloud")
        if found.user and not emulated:
            raise Misconfigured("PIX_DESK_USER needs no proof, and no emulator is set")
        return found


def _variable(name: str) -> str:
    return f"PIX_DESK_{name.upper()}"


def _read(env: Mapping[str, str], name: str, kind: str) -> str | int | float:
    try:
        value: str | int | float = _KINDS[kind](env[_variable(name)])
    except ValueError:
        raise Misconfigured(f"{_variable(name)} is not of type {kind}") from None
    return value
