"""The feature vector, defined once for serving and training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shared.features.arrays import Floats
from shared.features.catalogue import FEATURE_NAMES, SLICES
from shared.features.clock import angles, second_of_day, second_of_week
from shared.features.columns import ACCOUNT_TYPES, FORMS, KEY_TYPES, KINDS, PURPOSES, Codes, Columns
from shared.features.facts import CENTAVO
from shared.features.layout import DAY, HALF_LIVES, HOUR, NEW, OFFSETS, READ_WIDTH, ROLES
from shared.features.limits import limits_in_force
from shared.features.quotients import burst, deviations, divisor, habit, least_age, mean_age, mean_of, share
from shared.features.statistics import STATISTICS

Values = dict[str, Floats]

_COMPANY = KINDS.index("COMPANY")
_TRAN = ACCOUNT_TYPES.index("TRAN")


def feature_matrix(columns: Columns, reads: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the feature vectors [n, F] of n messages, given the reads of history [n, READ_WIDTH].

    NaN is missing; where a row of `reads` is all NaN, so is every feature of history. Every feature is finite or
    missing: where rounding has left nothing to divide by, a quotient says nothing.
    """
    known = Reads(reads)
    vector = np.full((len(FEATURE_NAMES), len(columns)), np.nan, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for values in (
            message(columns),
            statistics(columns),
            payer(columns, known),
            payee(columns, known),
            contact(columns, known),
            device(known),
            limits(columns, known),
        ):
            for name, value in values.items():
                vector[SLICES[name]] = value
    vector[np.isinf(vector)] = np.nan
    return np.ascontiguousarray(vector.T)


class Reads:
    """Reads of history by name: marks [n] and measures [half-lives, n]."""

    def __init__(self, reads: NDArray[np.float32]) -> None:
        if reads.shape[1:] != (READ_WIDTH,):
            raise ValueError(f"reads have the shape {reads.shape}, not [n, {READ_WIDTH}]")
        self._rows = np.ascontiguousarray(reads.T, dtype=np.float64)
        np.maximum(self._rows, _LEAST, out=self._rows)

    def __getitem__(self, name: str) -> Floats:
        return self._rows[_READS[name]]


def message(m: Columns) -> Values:
    """Return the features of the message alone."""
    clock, today = second_of_day(m.at), m.at / DAY
    centavos = np.rint(m.amount * 100)
    return {
        "amount": m.amount,
        "amount_log": np.log1p(m.amount),
        "amount_whole": _flag(np.mod(centavos, 100) == 0),
        "amount_round": _flag(np.mod(centavos, 10_000) == 0),
        "hour": clock / HOUR,
        "weekday": np.floor(second_of_week(m.at) / DAY),
        "night": _flag(m.night),
        "side": m.side.astype(np.float64),
        "person_to_person": m.person_to_person,
        "payer_company": _is(m.payer_kind, _COMPANY),
        "payee_company": _is(m.payee_kind, _COMPANY),
        "payee_registered": m.payee_registered,
        "form": _one_hot(m.form, FORMS),
        "purpose": _one_hot(m.purpose, PURPOSES),
        "key": _one_hot(m.key_type, KEY_TYPES),
        "key_age": today - m.key_owned_since,
        "payer_payment_account": _is(m.payer_type, _TRAN),
        "payee_payment_account": _is(m.payee_type, _TRAN),
        "payer_account_age": today - m.payer_opened,
        "payee_account_age": today - m.payee_opened,
        "same_institution": m.same_institution,
        "same_person": m.same_person,
        "device_unregistered": 1.0 - m.device_registered,
        "device_registered_age": (m.at - m.device_registered_at) / DAY,
    }


def statistics(m: Columns) -> Values:
    """Return the features of the payee's statistics in DICT."""
    known = dict(zip(STATISTICS, m.statistics, strict=True))
    windows = m.statistics[3:].reshape(7, 3, len(m))  # settlements, rejected reports, five types of marker
    markers = np.where(np.isnan(windows[2:]).all(axis=0), np.nan, np.nansum(windows[2:], axis=0))
    return {
        "dict_watermark_age": (m.at - known["watermark"]) / DAY,
        "dict_accounts": known["accounts"],
        "dict_reports_open": known["reports_open"],
        "dict_settlements": windows[0],
        "dict_rejected_m12": known["rejected_m12"],
        "dict_markers": markers,
        "dict_mule": windows[3, ::2],
        "dict_scammer": windows[4, ::2],
        "dict_application_m60": known["application_m60"],
        "dict_marker_share": markers[0] / (1 + windows[0, 0]),
    }


def payer(m: Columns, r: Reads) -> Values:
    """Return the features of the payer, and of the Pix compared with the payer's habits."""
    count, amount = r["payer_sent_count"], r["payer_sent_amount"]
    sent, came_in = divisor(count), r["payer_received_amount"][:3]
    mean, mean_square, received = amount / sent, r["payer_sent_square"] / sent, divisor(came_in, CENTAVO)
    log_mean, log_square = r["payer_sent_log"] / sent[3:], r["payer_sent_log_square"] / sent[3:]
    day, week = angles(m.at)
    return {
        "payer_asked": r["payer_asked_out"],
        "payer_asked_amount": r["payer_asked_out_amount"][0],
        "payer_unsettled": np.maximum(r["payer_asked_out"] - count[:3], 0.0),
        "payer_sent_count": count,
        "payer_sent_amount": amount[1::2],
        "amount_to_payer_mean": m.amount / mean,
        "amount_z": deviations(m.amount, mean, mean_square),
        "amount_log_z": deviations(np.log1p(m.amount), log_mean, log_square),
        "amount_to_largest": m.amount / r["payer_largest_sent"],
        "payer_mean": mean[2:],
        "payer_mean_rise": mean[1:3] / mean[3],
        "payer_square_rise": mean_square[1:3] / mean[3] ** 2,
        "payer_new_payees": r["payer_sent_new"],
        "payer_new_share": r["payer_sent_new"][3] / sent[3],
        "payer_burst": burst(count, "1h"),
        "payer_amount_burst": burst(amount, "1d", CENTAVO),
        "payer_since_first": r["payer_first_sent"] / DAY,
        "payer_since_last": r["payer_last_sent"] / HOUR,
        "payer_since_new_payee": r["payer_last_new_payee"] / HOUR,
        "payer_since_received": r["payer_last_received"] / HOUR,
        "hour_habit": habit(day, r["payer_sent_hour_cos"], r["payer_sent_hour_sin"], sent[3:]),
        "week_habit": habit(week, r["payer_sent_week_cos"], r["payer_sent_week_sin"], sent[3:]),
        "payer_received": came_in[1],
        "amount_to_received": m.amount / received,
        "payer_passed": r["payer_passed"] / received,
        "payer_taint": r["payer_taint"],
        "payer_victim": r["payer_frauds_sent"],
        "payer_victim_share": share(r["payer_frauds_sent"], r["payer_cleared_sent"])[1],
        "payer_reported": r["payer_frauds_received"][2],
        "payer_hops": r["payer_hops"],
    }


def payee(m: Columns, r: Reads) -> Values:
    """Return the features of the payee, and of the Pix compared with the payee's receipts."""
    count, amount, new = r["payee_received_count"], r["payee_received_amount"], r["payee_received_new"]
    counted = divisor(count)
    mean = amount[2:] / counted[2:]
    frauds, cleared = r["payee_frauds_received"], r["payee_cleared_received"]
    fraud_age = mean_age(frauds, "7d")
    since_fraud, since_cleared = least_age(frauds), least_age(cleared)
    hops, received = r["payee_hops"], amount[3]
    return {
        "payee_asked": r["payee_asked_in"],
        "payee_unsettled": np.maximum(r["payee_asked_in"] - count[:3], 0.0),
        "payee_count": count,
        "payee_mean": mean,
        "amount_to_payee_mean": m.amount / mean,
        "amount_payee_z": deviations(m.amount, mean, r["payee_received_square"] / counted[2:]),
        "payee_new_payers": new,
        "payee_new_share": new[1::2] / counted[1::2],
        "payee_burst": burst(count, "1h"),
        "payee_since_first": r["payee_first_received"] / DAY,
        "payee_since_last": r["payee_last_received"] / HOUR,
        "payee_since_sent": r["payee_last_sent"] / HOUR,
        "payee_sent": r["payee_sent_count"][1::2],
        "payee_passed": mean_of(r["payee_passed"], amount[:3], CENTAVO),
        "payee_taint": r["payee_taint"],
        "payee_frauds": frauds,
        "payee_judged": frauds[1:] + cleared[1:],
        "payee_fraud_share": share(frauds, cleared),
        "payee_frauds_known": frauds[2] * np.exp2(fraud_age * DAY / HALF_LIVES["30d"]),
        "payee_fraud_age": fraud_age,
        "payee_since_fraud": since_fraud,
        "payee_since_cleared": since_cleared,
        "payee_cleared_before_frauds": since_cleared - fraud_age,
        "payee_cleared_before_last_fraud": since_cleared - since_fraud,
        "payee_returned_share": share(r["payee_returned"][0], received, CENTAVO),
        "payee_blocked_share": mean_of(r["payee_blocked"][0], received, CENTAVO),
        "payee_hops": hops,
        "payee_usual_hop": mean_of(r["payee_hop_depth"][0], hops[1]),
        "payee_recoveries": r["payee_recoveries"][0],
        "owner_markers": r["owner_markers"][0],
        "key_markers": r["key_markers"][0],
    }


def contact(m: Columns, r: Reads) -> Values:
    """Return the features of the contacts: payer with payee, and payer with device."""
    count, used = r["pair_count"], r["handset_count"]
    return {
        "new_pair": np.where(np.isnan(count[1]), np.nan, count[1] <= NEW),
        "pair_count": count,
        "amount_to_pair_mean": m.amount / mean_of(r["pair_amount"][1], count[1]),
        "pair_since_first": r["pair_first"] / DAY,
        "pair_since_last": r["pair_touched"] / DAY,
        "new_device": np.where(np.isnan(used[1]), np.nan, used[1] <= NEW),
        "handset_count": used[1],
        "handset_since_first": r["handset_first"] / DAY,
        "handset_since_last": r["handset_touched"] / DAY,
    }


def device(r: Reads) -> Values:
    """Return the features of the device."""
    return {
        "device_asked": r["device_asked"],
        "device_count": r["device_count"],
        "device_amount": r["device_amount"],
        "device_payers": r["device_payers"],
        "device_since_first": r["device_first"] / DAY,
        "device_since_last": r["device_last"] / HOUR,
        "device_frauds": r["device_frauds"],
        "device_fraud_share": share(r["device_frauds"], r["device_cleared"]),
    }


def limits(m: Columns, r: Reads) -> Values:
    """Return the room below each limit, in BRL; the institution's own figures win over sums of history."""
    norm, unregistered = limits_in_force(), m.by_unregistered_device
    day = np.where(m.automatic, np.nan, m.day_limit)
    night = np.where(np.isnan(m.night_limit), norm.night.amount, m.night_limit)
    return {
        "customer_night_limit": _flag(~np.isnan(m.night_limit)),
        "customer_day_limit": _flag(~np.isnan(m.day_limit)),
        "night_limit_left": np.where(
            m.counts_at_night, _left(night, m.amount, r["payer_limit_night"][0], m.night_spent), np.nan
        ),
        "day_limit_left": _left(day, m.amount, r["payer_limit"][0], m.day_spent),
        "device_limit_left": np.where(unregistered, norm.unregistered_device_transaction.amount - m.amount, np.nan),
        "device_day_limit_left": np.where(
            unregistered,
            _left(
                np.full_like(m.amount, norm.unregistered_device_day.amount),
                *(m.amount, r["customer_unregistered"][0], m.unregistered_spent),
            ),
            np.nan,
        ),
    }


def _left(limit: Floats, amount: Floats, centavos: Floats, spent: Floats) -> Floats:
    """Return the limit less the amount and less that of before: as spent, in BRL, or if not known as counted.

    Computed in centavos, in which sums are exact.
    """
    before = np.where(np.isnan(spent), centavos, np.rint(spent * 100))
    return (np.rint(limit * 100) - np.rint(amount * 100) - before) / 100


def _flag(values: NDArray[np.bool_]) -> Floats:
    return values.astype(np.float64)


def _is(codes: Codes, code: int) -> Floats:
    return np.where(codes < 0, np.nan, codes == code)


def _one_hot(codes: Codes, known: tuple[str, ...]) -> Floats:
    return np.where(codes < 0, np.nan, codes == np.arange(len(known), dtype=np.int8)[:, None])


def _read_places() -> Mapping[str, int | slice]:
    places: dict[str, int | slice] = {}
    for role, layout, _ in ROLES:
        start = OFFSETS[role]
        places.update((f"{role}_{mark.name}", start + i) for i, mark in enumerate(layout.marks))
        start += layout.mark_count
        for measure in layout.measures:
            places[f"{role}_{measure.name}"] = slice(start, start := start + len(measure.spans))
    return places


def _least() -> Floats:
    """Return the least value [READ_WIDTH, 1] of each read: below zero is the rounding of amounts taken back."""
    least = np.full((READ_WIDTH, 1), -np.inf)
    for role, layout, _ in ROLES:
        least[OFFSETS[role] + layout.mark_count : OFFSETS[role] + layout.width] = 0.0
    for name in ("hour_cos", "hour_sin", "week_cos", "week_sin"):
        least[_READS[f"payer_sent_{name}"]] = -np.inf
    return least


_READS = _read_places()
_LEAST = _least()
