"""Errors named by what happens next.

::

    PixError
    ├── Malformed            quarantine the message, then acknowledge it
    ├── Unavailable          answer 503, so that Pub/Sub delivers again
    │   └── Overloaded       answer 429: more has come than this instance can do
    ├── PreconditionFailed   somebody else changed it first: read again, or give way
    ├── BundleRefused        keep the model that serves, and say why
    └── Misconfigured        stop at start, and say which setting is wrong
"""


class PixError(Exception):
    """Base of every error this system raises on purpose."""


class Malformed(PixError):
    """A message that will never be right, however often it is delivered.

    `reason` is a code such as `missing_field`; `field` is the path of a field of the contract.
    Neither ever holds a value from the message, which may be personal data.
    """

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason if field is None else f"{reason} at {field}")
        self.reason = reason
        self.field = field


class Unavailable(PixError):
    """A service that we need does not answer now; trying again later may help."""


class Overloaded(Unavailable):
    """There is too much to do; the sender should slow down and try again."""


class PreconditionFailed(PixError):
    """An object is not at the generation that the caller had read."""


class BundleRefused(PixError):
    """A model bundle that is incomplete, altered or does not compute what it promises."""


class Misconfigured(PixError):
    """A setting that is missing or makes no sense."""
