"""Configuration of a simulation, and the integer codes of its tables."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from infra.local.simulator.clock import DAY_MS

DEFAULT_FRAUD_RATE = 0.004
REALISTIC_FRAUD_RATE = 0.00007
"""The true rate is 6 to 8 per 100,000 Pix."""
BOTH_SIDES = 0.05
"""Share of Pix about which both sides ask, in files and demos; an assumption."""
TRANSACTIONS_PER_CUSTOMER_DAY = 0.8


class Form(IntEnum):
    """Code of the initiation form; names are those of the contract."""

    MANU = 0
    DICT = 1
    INIC = 2
    QRDN = 3
    QRES = 4
    AUTO = 5
    APDN = 6
    APES = 7


class PurposeCode(IntEnum):
    """Code of the purpose of a Pix; names are those of the contract."""

    IPAY = 0
    GSCB = 1
    OTHR = 2


class Kind(IntEnum):
    """Reason of a simulated Pix, for the label process and the summary; never written to the events."""

    CONTACT = 0
    SHOP = 1
    STRANGER = 2
    OWN_ACCOUNT = 3
    FOLLOW_ON = 4
    SALARY = 5
    BILL = 6
    WITHDRAWAL = 7
    LARGE = 8
    BURST = 9
    MULE_TRANSFER = 10
    TAKEOVER = 11
    SCAM = 12
    COERCION = 13
    FALSE_MERCHANT = 14
    APPLICATION = 15


FIRST_FRAUD = Kind.TAKEOVER


class SimulationError(ValueError):
    """A configuration value is out of range."""


@dataclass(frozen=True)
class SimulationConfig:
    """The size, period and seed of a simulation; the same values give the same bytes.

    Raises SimulationError if a value is out of range.
    """

    end: datetime
    """End of the period, with a time zone."""
    transactions: int = 100_000
    """Exact number of transactions."""
    days: int = 60
    """Length of the period."""
    customers: int | None = None
    """Number of persons; None: enough for TRANSACTIONS_PER_CUSTOMER_DAY each."""
    seed: int = 7
    """Seed of the random generators."""
    fraud_rate: float = DEFAULT_FRAUD_RATE
    """Share of truly fraudulent transactions, reported or not."""
    med2: float = 1.0
    """Share of reports under MED 2.0, which is mandatory since 2026-02-02 (Res. BCB 493/2025)."""
    hop_reports: bool = True
    """Whether MED 2.0 also tells the later hops; without, the payments are the same."""
    both_sides: float = 0.0
    """Share of Pix about which the payee's side asks too; its messages come in addition to `transactions`."""
    outcomes: bool = True
    """Whether the events tell the outcome of each Pix."""
    labels_until: datetime | None = None
    """Drop feedback reported later; None: write all of it, after the last transaction."""

    def __post_init__(self) -> None:
        _require(self.transactions >= 1, "transactions must be at least 1")
        _require(1 <= self.days <= 3660, "days must be between 1 and 3660")
        _require(self.customers is None or self.customers >= 50, "customers must be at least 50")
        _require(self.seed >= 0, "seed must not be negative")
        _require(0 <= self.fraud_rate <= 0.2, "fraud rate must be between 0 and 0.2")
        _require(0 <= self.med2 <= 1, "the share of MED 2.0 must be between 0 and 1")
        _require(0 <= self.both_sides <= 1, "the share asked by both sides must be between 0 and 1")
        _require(self.end.tzinfo is not None, "end must have a time zone, for example 2026-11-20T00:00:00Z")
        _require(2021 <= self.end.year <= 2100, "end must lie between 2021 and 2100: there was no Pix before")
        _require(self.labels_until is None or self.labels_until.tzinfo is not None, "labels-until needs a time zone")

    @property
    def end_ms(self) -> int:
        """Return the end of the period, in milliseconds since 1970."""
        return to_ms(self.end)

    @property
    def start_ms(self) -> int:
        """Return the start of the period, in milliseconds since 1970."""
        return self.end_ms - self.days * DAY_MS

    @property
    def population(self) -> int:
        """Return the number of persons in the simulated world."""
        if self.customers is not None:
            return self.customers
        return max(300, round(self.transactions / self.days / TRANSACTIONS_PER_CUSTOMER_DAY))

    @property
    def pace(self) -> float:
        """Return the scale of routine payments: activity of a customer over the usual activity, at most 1."""
        return min(1.0, self.transactions / self.days / self.population / TRANSACTIONS_PER_CUSTOMER_DAY)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1000


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SimulationError(message)
