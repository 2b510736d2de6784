"""Every feature by name, unit, meaning and reason to be missing: the one list for storage, models and rules."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.features.columns import FORMS, KEY_TYPES, PURPOSES
from shared.features.layout import SPANS

VERSION = 2
"""Increment when a feature changes its meaning under the same name."""


class Feature(NamedTuple):
    """One number of the vector; `missing` is the condition under which it is NaN."""

    name: str
    unit: str
    meaning: str
    missing: str


class Family(NamedTuple):
    """Features that differ in one word, `{}` in the meaning, and are computed as one block [len(members), n]."""

    stem: str
    members: tuple[str, ...]
    unit: str
    meaning: str
    missing: str

    def features(self) -> tuple[Feature, ...]:
        """Return the features of the members.

        >>> Family("count", ("1h",), "count", "Pix in about {}", "never").features()
        (Feature(name='count_1h', unit='count', meaning='Pix in about 1h', missing='never'),)
        """
        return tuple(
            Feature(f"{self.stem}_{member.lower()}", self.unit, self.meaning.format(member), self.missing)
            for member in self.members
        )


_NEVER = "never"
_STATE = "history is away"
_NO_KEY = "no key was used"
_NO_DEVICE = "no device is named, or history is away"
_NO_STATISTICS = "not in the message"
_ASKED = ("1h", "1d", "7d")
_WINDOWS = ("d90", "m12", "m60")

MESSAGE: tuple[Feature | Family, ...] = (
    Feature("amount", "BRL", "Amount of the Pix", _NEVER),
    Feature("amount_log", "ln BRL", "ln(1 + amount)", _NEVER),
    Feature("amount_whole", "flag", "Amount without centavos", _NEVER),
    Feature("amount_round", "flag", "Amount is a multiple of R$100", _NEVER),
    Feature("hour", "h", "Local time of day (UTC-3)", _NEVER),
    Feature("weekday", "day", "Local day of the week, 0 is Monday", _NEVER),
    Feature("night", "flag", "Hours of the night limit (limits.yaml)", _NEVER),
    Feature("side", "flag", "Asked by the payee's institution", _NEVER),
    Feature("person_to_person", "flag", "Between two natural persons, neither an entrepreneur", "payee not known"),
    Feature("payer_company", "flag", "The payer is a company", _NEVER),
    Feature("payee_company", "flag", "The payee is a company", "payee not known"),
    Feature("payee_registered", "flag", "The payer registered the payee before", "not in the message"),
    Family("form", FORMS, "flag", "Initiated by {}", _NEVER),
    Family("purpose", PURPOSES, "flag", "Purpose is {}", _NEVER),
    Family("key", KEY_TYPES, "flag", "Payee was found by a key of type {}", _NO_KEY),
    Feature("key_age", "d", "Time since the payee has held the key", "not known"),
    Feature("payer_payment_account", "flag", "Payer's is a payment account (TRAN)", "type not known"),
    Feature("payee_payment_account", "flag", "Payee's is a payment account (TRAN)", "type not known"),
    Feature("payer_account_age", "d", "Age of the paying account", "opening not known"),
    Feature("payee_account_age", "d", "Age of the receiving account", "opening not known"),
    Feature("same_institution", "flag", "Both accounts are at one institution", _NEVER),
    Feature("same_person", "flag", "Payer and payee are one person", "payee's person not known"),
    Feature("device_unregistered", "flag", "The device is not registered", "nothing is known of a device"),
    Feature("device_registered_age", "d", "Time since the device was registered", "not registered or not known"),
)
STATISTICS: tuple[Feature | Family, ...] = (
    Feature("dict_watermark_age", "d", "Age of the payee's DICT statistics", _NO_STATISTICS),
    Feature("dict_accounts", "count", "Accounts registered for the payee", _NO_STATISTICS),
    Feature("dict_reports_open", "count", "Open infraction reports about the payee", _NO_STATISTICS),
    Family("dict_settlements", _WINDOWS, "count", "Pix settled to the payee, {}", _NO_STATISTICS),
    Feature("dict_rejected_m12", "count", "Rejected infraction reports about the payee, m12", _NO_STATISTICS),
    Family("dict_markers", _WINDOWS, "count", "Fraud markers of any type, {}", _NO_STATISTICS),
    Family("dict_mule", ("d90", "m60"), "count", "Fraud markers for mule accounts, {}", _NO_STATISTICS),
    Family("dict_scammer", ("d90", "m60"), "count", "Fraud markers for scammer accounts, {}", _NO_STATISTICS),
    Feature("dict_application_m60", "count", "Fraud markers for application fraud, m60", _NO_STATISTICS),
    Feature("dict_marker_share", "ratio", "Markers by 1 + settlements, d90", _NO_STATISTICS),
)
PAYER: tuple[Feature | Family, ...] = (
    Family("payer_asked", _ASKED, "count", "Pix asked for by the payer, half-life {}", _STATE),
    Feature("payer_asked_amount", "BRL", "Amount asked for by the payer, half-life 1d", _STATE),
    Family("payer_unsettled", _ASKED, "count", "Pix of the payer asked for and not settled, half-life {}", _STATE),
    Family("payer_sent_count", SPANS, "count", "Pix sent by the payer, half-life {}", _STATE),
    Family("payer_sent_amount", ("1d", "30d"), "BRL", "Amount sent by the payer, half-life {}", _STATE),
    Family("amount_to_payer_mean", SPANS, "ratio", "Amount by the payer's mean, half-life {}", "no recent Pix"),
    Family("amount_z", SPANS, "deviations", "Amount against the payer's habit, half-life {}", "no recent Pix"),
    Feature("amount_log_z", "deviations", "ln amount against the payer's habit, half-life 30d", "no recent Pix"),
    Feature("amount_to_largest", "ratio", "Amount by the largest the payer ever sent", "first Pix sent"),
    Family("payer_mean", ("7d", "30d"), "BRL", "Payer's mean amount, half-life {}", "no recent Pix"),
    Family("payer_mean_rise", ("1d", "7d"), "ratio", "Payer's mean at half-life {} by that at 30d", "no recent Pix"),
    Family(
        "payer_square_rise",
        ("1d", "7d"),
        "ratio",
        "Mean square of the payer's amounts at half-life {} by the square of the mean at 30d",
        "no recent Pix",
    ),
    Family("payer_new_payees", SPANS, "count", "First Pix to a payee, half-life {}", _STATE),
    Feature("payer_new_share", "ratio", "Share of first Pix to a payee, half-life 30d", "no recent Pix"),
    Feature("payer_burst", "ratio", "Payer's rate over 1h by that over 30d", "no recent Pix"),
    Feature("payer_amount_burst", "ratio", "Payer's amount per time over 1d by that over 30d", "no recent Pix"),
    Feature("payer_since_first", "d", "Time since the payer's first Pix", "first Pix sent"),
    Feature("payer_since_last", "h", "Time since the payer's last Pix", "first Pix sent"),
    Feature("payer_since_new_payee", "h", "Time since the payer's last first Pix to a payee", "none yet"),
    Feature("payer_since_received", "h", "Time since money came in to the payer", "none yet"),
    Feature("hour_habit", "-1..1", "Likeness of the time of day to the payer's, 1 is alike", "no recent Pix"),
    Feature("week_habit", "-1..1", "Likeness of the time of week to the payer's, 1 is alike", "no recent Pix"),
    Feature("payer_received", "BRL", "Amount that came in to the payer, half-life 1d", _STATE),
    Family("amount_to_received", ("1h", "1d", "7d"), "ratio", "Amount by what came in, half-life {}", "none came in"),
    Family(
        "payer_passed", ("1h", "1d", "7d"), "ratio", "Share passed on of what came in, half-life {}", "none came in"
    ),
    Family(
        "payer_taint", ("7d", "30d"), "steps", "Nearness to confirmed fraud, 1 is its payee, half-life {}", _STATE
    ),
    Family("payer_victim", ("7d", "30d"), "count", "Confirmed frauds the payer suffered, half-life {}", _STATE),
    Feature("payer_victim_share", "ratio", "Frauds by verdicts on the payer's Pix, half-life 30d", "none judged"),
    Feature("payer_reported", "count", "Confirmed frauds the payer's account received, half-life 30d", _STATE),
    Family("payer_hops", ("7d", "30d"), "count", "Stolen sums that came to the payer by a hop, half-life {}", _STATE),
)
PAYEE: tuple[Feature | Family, ...] = (
    Family("payee_asked", _ASKED, "count", "Pix asked for to the payee, half-life {}", _STATE),
    Family("payee_unsettled", _ASKED, "count", "Pix to the payee asked for and not settled, half-life {}", _STATE),
    Family("payee_count", SPANS, "count", "Pix received by the payee, half-life {}", _STATE),
    Family("payee_mean", ("7d", "30d"), "BRL", "Mean amount received by the payee, half-life {}", "no recent Pix"),
    Family(
        "amount_to_payee_mean", ("7d", "30d"), "ratio", "Amount by the payee's mean, half-life {}", "no recent Pix"
    ),
    Family(
        "amount_payee_z", ("7d", "30d"), "deviations", "Amount against the payee's, half-life {}", "no recent Pix"
    ),
    Family("payee_new_payers", SPANS, "count", "First Pix from a payer, half-life {}", _STATE),
    Family(
        "payee_new_share", ("1d", "30d"), "ratio", "Share of first Pix from a payer, half-life {}", "no recent Pix"
    ),
    Feature("payee_burst", "ratio", "Payee's rate over 1h by that over 30d", "no recent Pix"),
    Feature("payee_since_first", "d", "Time since the payee first received", "first Pix received"),
    Feature("payee_since_last", "h", "Time since the payee last received", "first Pix received"),
    Feature("payee_since_sent", "h", "Time since the payee last sent", "none sent yet"),
    Family("payee_sent", ("1d", "30d"), "count", "Pix sent by the payee, half-life {}", _STATE),
    Family(
        "payee_passed", ("1h", "1d", "7d"), "ratio", "Share passed on by the payee, half-life {}", "no recent Pix"
    ),
    Family(
        "payee_taint", ("7d", "30d"), "steps", "Nearness to confirmed fraud, 1 is its payee, half-life {}", _STATE
    ),
    Family("payee_frauds", ("1d", "7d", "30d"), "count", "Confirmed frauds to the payee, half-life {}", _STATE),
    Family("payee_judged", ("7d", "30d"), "count", "Pix to the payee with a verdict, half-life {}", _STATE),
    Family("payee_fraud_share", ("1d", "7d", "30d"), "ratio", "Frauds by verdicts, half-life {}", "none judged"),
    Feature("payee_frauds_known", "count", "Confirmed frauds to the payee, about, not decayed", "no recent fraud"),
    Feature("payee_fraud_age", "d", "Mean time since confirmed frauds to the payee were reported", "no recent fraud"),
    Feature("payee_since_fraud", "d", "Time since the last report of a confirmed fraud to the payee", "none in 30 d"),
    Feature("payee_since_cleared", "d", "Time since a report last cleared a Pix to the payee", "none in 30 d"),
    Feature(
        "payee_cleared_before_frauds", "d", "From the last cleared Pix to the mean confirmed fraud", "lacks either"
    ),
    Feature(
        "payee_cleared_before_last_fraud",
        "d",
        "From the last cleared Pix to the last confirmed fraud",
        "lacks either",
    ),
    Feature("payee_returned_share", "ratio", "Share returned of money received, half-life 30d", "none received"),
    Feature("payee_blocked_share", "ratio", "Share blocked of money received, half-life 30d", "none received"),
    Family("payee_hops", ("7d", "30d"), "count", "Stolen sums that came to the payee by a hop, half-life {}", _STATE),
    Feature("payee_usual_hop", "hop", "Mean hop of these, half-life 30d", "none yet"),
    Feature("payee_recoveries", "count", "Funds recoveries about the payee, half-life 30d", _STATE),
    Feature("owner_markers", "count", "Fraud markers in force of the payee, reported to us", "payee not known"),
    Feature("key_markers", "count", "Fraud markers in force of the key, reported to us", _NO_KEY),
)
CONTACT: tuple[Feature | Family, ...] = (
    Feature("new_pair", "flag", "First Pix of this payer to this payee", _STATE),
    Family("pair_count", ("1d", "30d"), "count", "Pix of this payer to this payee, half-life {}", _STATE),
    Feature("amount_to_pair_mean", "ratio", "Amount by the mean of this pair, half-life 30d", "no recent Pix"),
    Feature("pair_since_first", "d", "Time since the first Pix of this pair", "first Pix of the pair"),
    Feature("pair_since_last", "d", "Time since the last Pix of this pair", "first Pix of the pair"),
    Feature("new_device", "flag", "First Pix of this payer from this device", _NO_DEVICE),
    Feature("handset_count", "count", "Pix of this payer from this device, half-life 30d", _NO_DEVICE),
    Feature("handset_since_first", "d", "Time since this payer first used this device", "first use, or no device"),
    Feature("handset_since_last", "d", "Time since this payer last used this device", "first use, or no device"),
)
DEVICE: tuple[Feature | Family, ...] = (
    Family("device_asked", ("1h", "1d"), "count", "Pix asked for from the device, half-life {}", _NO_DEVICE),
    Family("device_count", ("1h", "30d"), "count", "Pix from the device, half-life {}", _NO_DEVICE),
    Feature("device_amount", "BRL", "Amount sent from the device, half-life 1d", _NO_DEVICE),
    Family("device_payers", ("1d", "30d"), "count", "Payers new to the device, half-life {}", _NO_DEVICE),
    Feature("device_since_first", "d", "Time since the device was first seen", "first Pix, or no device"),
    Feature("device_since_last", "h", "Time since the device was last seen", "first Pix, or no device"),
    Feature("device_frauds", "count", "Confirmed frauds from the device, half-life 30d", _NO_DEVICE),
    Feature("device_fraud_share", "ratio", "Frauds by verdicts of the device, half-life 30d", "none judged"),
)
LIMITS: tuple[Feature | Family, ...] = (
    Feature("customer_night_limit", "flag", "The customer's own limit of a night is known", _NEVER),
    Feature("customer_day_limit", "flag", "The customer's own limit of a day is known", _NEVER),
    Feature(
        "night_limit_left",
        "BRL",
        "The limit of a night (the customer's, or limits.yaml) less the amount and the night's total before it",
        "by day, not between persons, or history is away",
    ),
    Feature(
        "day_limit_left",
        "BRL",
        "The customer's limit of a day less the amount and the day's total before it",
        "limit not known, Pix Automático, or history is away",
    ),
    Feature(
        "device_limit_left",
        "BRL",
        "The limit of a transaction from an unregistered device (limits.yaml) less the amount",
        "device registered or not known, or Pix Automático",
    ),
    Feature(
        "device_day_limit_left",
        "BRL",
        "A day's limit from unregistered devices (limits.yaml) less the amount and the day's total before it",
        "device registered or not known, Pix Automático, or history is away",
    ),
)

_ENTRIES = (*MESSAGE, *STATISTICS, *PAYER, *PAYEE, *CONTACT, *DEVICE, *LIMITS)
FEATURES: tuple[Feature, ...] = tuple(
    feature for entry in _ENTRIES for feature in ((entry,) if isinstance(entry, Feature) else entry.features())
)
"""Every feature, in the order of the vector."""

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


def feature_set(names: Sequence[str]) -> str:
    """Return the identity of features: their names, in order, and the version of their meanings.

    A bundle and a training set carry that of their own features, so that a new feature leaves both usable, and both
    are refused after an increment of VERSION.

    >>> feature_set(["amount", "hour"])
    '5fcedb9d6569'
    """
    return hashlib.sha256(repr((VERSION, tuple(names))).encode()).hexdigest()[:12]


def _slices() -> Mapping[str, slice]:
    slices, start = {}, 0
    for entry in _ENTRIES:
        name, size = (entry.name, 1) if isinstance(entry, Feature) else (entry.stem, len(entry.members))
        slices[name] = slice(start, start + size)
        start += size
    return slices


SLICES = _slices()
"""Slice of the vector of each feature, and of each family by its stem."""


def markdown() -> str:
    """Return the features as a Markdown table.

    >>> print(markdown().splitlines()[2])
    | `amount` | BRL | Amount of the Pix | never |
    """
    head = ["| feature | unit | meaning | missing when |", "|---|---|---|---|"]
    return "\n".join([*head, *(f"| `{f.name}` | {f.unit} | {f.meaning} | {f.missing} |" for f in FEATURES)])
