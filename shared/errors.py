"""Errors, named by the reaction to them.

::

    PixError
    ├── Malformed            quarantine the message, then acknowledge it
    ├── Unavailable          answer 503, so that Pub/Sub delivers again
    │   ├── Overloaded       answer 429: this instance has no room for more
    │   └── NotInTime        answer 503: the decision is being made, so ask again
    ├── Unauthenticated      answer 401: the caller has no valid token
    ├── RowRefused           answer 500, so that the message becomes a dead letter in the end
    ├── PreconditionFailed   another writer was first: read again, or give way
    ├── BundleRefused        keep the model that serves, and log the reason
    │   └── Untrusted        the same: nobody who may sign has signed this, or signed it for here and now
    └── Misconfigured        stop at start, and name the setting
"""


class PixError(Exception):
    """Base of every error that this system raises on purpose."""


class Malformed(PixError):
    """A message that no further delivery can make valid.

    `reason` is a code such as `missing_field`; `field` is the path of a field of the contract.
    Neither holds a value from the message, which may be personal data.
    """

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason if field is None else f"{reason} at {field}")
        self.reason = reason
        self.field = field


class Unavailable(PixError):
    """A service does not answer at the moment; trying again later may help."""


class Overloaded(Unavailable):
    """This instance is at its limit; the sender should slow down and try again."""


class NotInTime(Unavailable):
    """The caller's time is over before its decision stands."""


class Unauthenticated(PixError):
    """A caller without a valid token for this service."""


class RowRefused(PixError):
    """A row of our own making that its table does not take: a fault of code or schema, not of the message."""


class PreconditionFailed(PixError):
    """An object is no longer at the generation that the caller read."""


class BundleRefused(PixError):
    """A model bundle that is incomplete, altered, of another feature set, or does not compute its golden scores."""


class Untrusted(BundleRefused):
    """A signed object without a valid signature, or an earlier one in the place of a later one.

    `generation` is that of the object, so that a reader can say it once.
    """

    def __init__(self, reason: str, generation: int) -> None:
        super().__init__(reason)
        self.generation = generation


class Misconfigured(PixError):
    """A setting that is missing or invalid."""
