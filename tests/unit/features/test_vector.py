"""The feature vector of typical behaviour."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from shared.contract.event import Event, days
from shared.contract.transaction import Statistics
from shared.features.catalogue import FEATURE_NAMES, SLICES
from shared.features.columns import Columns
from shared.features.history import READ_WIDTH, MemoryHistory
from shared.features.vector import Reads as VectorReads
from shared.features.vector import contact, device, feature_matrix, limits, message, payee, payer, statistics
from shared.replay.recurrence import Replay
from tests.unit.lives import chunk_of, live
from tests.unit.streams import DEVICES, MORNING, Item, event, pseudonym, report, streams

DAY, HOUR = 86_400.0, 3600.0
STATISTICS = (
    '{"watermark":"2026-11-18T00:00:00Z","settlements":{"d90":3,"m12":9,"m60":20},"registered_accounts":2,'
    '"fraud_markers":{"mule_accounts":{"d90":1,"m12":2,"m60":3},"other_frauds":{"d90":0,"m12":1,"m60":1}},'
    '"infraction_reports":{"open":1,"rejected":{"d90":0,"m12":4,"m60":5}}}'
)
FULL: dict[str, Any] = {
    "payer_account_type": "CACC",
    "payer_opened_at": 20_000,
    "payee_person_id": pseudonym("payee"),
    "payee_kind": "PERSON",
    "payee_registered": False,
    "payee_key_id": pseudonym("key"),
    "day_limit": 500_000,
    "payee_account_type": "TRAN",
    "payee_opened_at": 20_500,
    "payee_key_type": "PHONE",
    "payee_key_owned_since": 20_700,
    "device_id": DEVICES[1],
    "device_registered": True,
    "device_registered_at": MORNING - 10 * 86_400_000_000,
    "payee_statistics": STATISTICS,
}


def last_of(*stream: Item) -> dict[str, float]:
    """Return the features of the last event, by name."""
    history, final = MemoryHistory(), stream[-1]
    live(history, stream[:-1])
    assert isinstance(final, Event)
    columns = Columns.of([final])
    vector = feature_matrix(columns, history.observe(columns)[0])
    return dict(zip(FEATURE_NAMES, vector[0].tolist(), strict=True))


def away(final: Event) -> dict[str, float]:
    reads = np.full((1, READ_WIDTH), np.nan, dtype=np.float32)
    return dict(zip(FEATURE_NAMES, feature_matrix(Columns.of([final]), reads)[0].tolist(), strict=True))


def test_computed_features_are_those_of_the_catalogue() -> None:
    columns = Columns.of([event(**FULL)])
    reads = VectorReads(MemoryHistory().observe(columns)[0])
    with np.errstate(all="ignore"):
        groups = [message(columns), statistics(columns), payer(columns, reads), payee(columns, reads)]
        groups += [contact(columns, reads), device(reads), limits(columns, reads)]
    names = [name for values in groups for name in values]
    assert sorted(names) == sorted(SLICES)
    for values in groups:
        for name, value in values.items():
            assert value.reshape(-1, 1).shape[0] == SLICES[name].stop - SLICES[name].start, name


def test_every_feature_has_a_value_where_everything_is_known() -> None:
    busy = [event(0, 1, i * HOUR, 1000 + i, **FULL) for i in range(6)]
    back = event(1, 0, 6.5 * HOUR, 500, **FULL)
    judged = [report(0, 1, 6.6 * HOUR, device=1), report(2, 1, 6.7 * HOUR, fraud=False), report(2, 1, hop=2)]
    night = event(0, 1, 13 * HOUR, 1_500, **FULL)
    unregistered = event(0, 1, 13 * HOUR, 1_500, **FULL | {"device_registered": False})
    one, other = last_of(*busy, back, *judged, night), last_of(*busy, back, *judged, unregistered)
    missing = {name for name in FEATURE_NAMES if math.isnan(one[name]) and math.isnan(other[name])}
    assert missing == {"dict_application_m60", "dict_scammer_d90", "dict_scammer_m60"}


def test_without_history_only_features_of_the_message_have_values() -> None:
    features = away(event(**FULL))
    known = {
        "customer_night_limit",
        "customer_day_limit",
        "device_limit_left",
        "day_limit_left",
    }  # from the message and the norm
    first = SLICES["payer_asked"].start
    assert all(math.isnan(features[name]) for name in FEATURE_NAMES[first:] if name not in known)
    assert features["amount"] == 100


def test_first_pix_has_counts_of_zero_and_no_habit() -> None:
    features = last_of(event(0, 1))
    assert (features["payer_sent_count_30d"], features["payee_count_30d"], features["new_pair"]) == (0, 0, 1)
    assert math.isnan(features["amount_z_30d"])
    assert math.isnan(features["payer_since_last"])


def test_only_the_first_pix_of_a_direction_is_a_new_pair() -> None:
    assert last_of(event(0, 1), event(0, 1, 2 * DAY))["new_pair"] == 0
    assert last_of(event(0, 1), event(0, 1, 2 * DAY))["pair_since_last"] == 2
    assert last_of(event(0, 1), event(1, 0, 60))["new_pair"] == 1


def test_new_device_is_new_to_the_payer_not_to_the_world() -> None:
    known = event(2, 1, device_id=DEVICES[1])
    features = last_of(known, event(0, 1, 60, device_id=DEVICES[1]))
    assert (features["new_device"], features["device_since_first"] > 0) == (1, True)
    assert last_of(known, event(2, 3, 60, device_id=DEVICES[1]))["new_device"] == 0
    assert math.isnan(last_of(known, event(2, 3, 60))["new_device"])


def test_amount_against_habit() -> None:
    usual = [event(0, 1, i * HOUR, 10_000 + 500 * (i % 2)) for i in range(30)]
    features = last_of(*usual, event(0, 1, 31 * HOUR, 102_500))
    assert features["amount_to_payer_mean_30d"] == pytest.approx(10, rel=1e-3)
    assert features["amount_to_largest"] == pytest.approx(1025 / 105)
    assert features["amount_z_30d"] > 50
    assert abs(last_of(*usual, event(0, 1, 31 * HOUR, 10_250))["amount_z_30d"]) < 0.1


def test_burst_to_new_payees_raises_fan_out() -> None:
    quiet = [event(0, 1, i * DAY) for i in range(20)]
    burst = [event(0, pseudonym(f"mule-{i}"), 20 * DAY + i * 60) for i in range(8)]
    before, after = last_of(*quiet, burst[0]), last_of(*quiet, *burst)
    assert after["payer_new_payees_1h"] > 6 > 1 > before["payer_new_payees_1h"]
    assert after["payer_burst"] > 50 * before["payer_burst"]


def test_a_mule_passes_on_the_received_amount() -> None:
    collected = [event(pseudonym(f"victim-{i}"), 1, i * 60, 50_000) for i in range(5)]
    features = last_of(*collected, event(1, 2, 600, 250_000), event(3, 1, 700))
    assert features["payee_passed_1h"] == pytest.approx(1, abs=0.1)
    assert features["payee_new_share_1d"] == pytest.approx(1)
    assert last_of(*collected, event(3, 1, 700))["payee_passed_1h"] == 0


def test_taint_halves_with_each_transfer() -> None:
    confirmed = report(0, 1)
    assert last_of(confirmed, event(2, 1))["payee_taint_30d"] == 1
    assert last_of(confirmed, event(1, 3), event(2, 3))["payee_taint_30d"] == 0.5
    assert last_of(confirmed, report(0, 1, sign=-1), event(2, 1))["payee_taint_30d"] == 0
    assert last_of(confirmed, event(2, 1, 30 * DAY))["payee_frauds_30d"] == pytest.approx(0.5)


def test_share_of_frauds_counts_verdicts_both_ways() -> None:
    features = last_of(report(0, 1), report(2, 1, fraud=False), event(3, 1))
    assert (features["payee_fraud_share_7d"], features["payee_judged_7d"]) == (0.5, 2)
    assert math.isnan(last_of(event(3, 1))["payee_fraud_share_7d"])


def test_ages_of_verdicts_are_read_from_counters() -> None:
    verdicts = [report(0, 1, fraud=False), report(0, 1, 2 * DAY), report(2, 1, 5 * DAY)]
    features = last_of(*verdicts, event(3, 1, 9 * DAY))
    assert features["payee_since_cleared"] == pytest.approx(9)
    assert features["payee_since_fraud"] == pytest.approx(4, abs=0.2)  # the other, three days older, pulls a little
    assert features["payee_fraud_age"] == pytest.approx((7 + 4) / 2, abs=0.3)
    assert features["payee_frauds_known"] == pytest.approx(2, abs=0.05)
    assert features["payee_cleared_before_last_fraud"] == pytest.approx(5, abs=0.2)


def test_a_withdrawn_verdict_leaves_no_age() -> None:
    verdicts = [
        report(0, 1, i * HOUR, sign=sign, fraud=fraud)
        for fraud in (False, True)
        for i in range(9)
        for sign in (1, -1)
    ]
    features = last_of(*verdicts, event(3, 1, 12 * HOUR))
    names = ("payee_since_cleared", "payee_since_fraud", "payee_fraud_age", "payee_frauds_known")
    assert [name for name in names if not math.isnan(features[name])] == []


def test_a_rise_of_the_payers_amounts_shows() -> None:
    usual = [event(0, 1, i * DAY, 10_000) for i in range(30)]
    large = [event(0, 1, (30 + i) * DAY, 50_000) for i in range(2)]
    before, after = last_of(*usual), last_of(*usual, *large, event(0, 1, 32 * DAY, 10_000))
    assert [before["payer_mean_rise_1d"], before["payer_square_rise_7d"]] == pytest.approx([1, 1])
    assert after["payer_mean_30d"] > before["payer_mean_30d"] == pytest.approx(100)
    assert after["payer_square_rise_1d"] > after["payer_mean_rise_1d"] > 2


def test_hour_habit_tells_usual_from_unusual_times() -> None:
    usual = [event(0, 1, i * DAY) for i in range(20)]
    assert last_of(*usual, event(0, 1, 20 * DAY))["hour_habit"] == pytest.approx(1)
    assert last_of(*usual, event(0, 1, 20.5 * DAY))["hour_habit"] == pytest.approx(-1)


@pytest.mark.parametrize(("hour", "night"), [(0, 1), (5.99, 1), (6, 0), (19.99, 0), (20, 1)])
def test_night_is_20h_to_6h_in_brasilia(hour: float, night: int) -> None:
    midnight = 1_795_000_000 - (1_795_000_000 - 3 * 3600) % 86_400
    features = away(event(initiated_at=round((midnight + hour * HOUR) * 1e6), amount=120_000))
    assert features["night"] == night
    assert features["hour"] == pytest.approx(hour)
    left = last_of(event(initiated_at=round((midnight + hour * HOUR) * 1e6), amount=120_000))["night_limit_left"]
    assert left == -200 if night else math.isnan(left)


def test_weekday_counts_from_monday() -> None:
    assert away(event(initiated_at=days_to_micros(2026, 11, 20)))["weekday"] == 4


def days_to_micros(year: int, month: int, day: int) -> int:
    return (days(dt.date(year, month, day)) * 86_400 + 12 * 3600) * 1_000_000


def test_limits_of_an_unregistered_device() -> None:
    spent = event(0, 1, 0, 90_000, device_id=DEVICES[1], device_registered=False)
    features = last_of(spent, event(0, 2, 1, 15_000, device_id=DEVICES[2], device_registered=False))
    assert features["device_limit_left"] == 50
    assert features["device_day_limit_left"] == -50
    registered = last_of(spent, event(0, 2, 1, 15_000, device_id=DEVICES[1], device_registered=True))
    assert math.isnan(registered["device_limit_left"])


def test_dict_statistics() -> None:
    features = away(event(payee_statistics=STATISTICS, initiated_at=days_to_micros(2026, 11, 20)))
    assert features["dict_watermark_age"] == pytest.approx(2.5)
    assert [features[f"dict_markers_{w}"] for w in ("d90", "m12", "m60")] == [1, 3, 4]
    assert (features["dict_mule_d90"], features["dict_mule_m60"]) == (1, 3)
    assert (features["dict_rejected_m12"], features["dict_reports_open"], features["dict_accounts"]) == (4, 1, 2)
    assert features["dict_marker_share"] == pytest.approx(0.25)


def test_absent_statistics_are_missing_not_zero() -> None:
    assert math.isnan(away(event())["dict_markers_d90"])
    assert math.isnan(away(event(payee_statistics="{}"))["dict_markers_d90"])
    assert Statistics().settlements is None


def test_ages_and_kinds() -> None:
    noon = days_to_micros(2026, 11, 20)
    today = noon // 86_400_000_000
    features = away(
        event(**FULL | {"initiated_at": noon, "payee_opened_at": today - 3, "payee_key_owned_since": today})
    )
    assert (features["payee_account_age"], features["key_age"]) == (3.5, 0.5)
    assert (features["key_phone"], features["key_cpf"], features["form_dict"], features["purpose_ipay"]) == (
        1,
        0,
        1,
        1,
    )
    assert (features["payee_payment_account"], features["payer_payment_account"], features["same_person"]) == (
        1,
        0,
        0,
    )
    assert math.isnan(away(event())["key_phone"])


def test_round_amounts() -> None:
    assert [away(event(amount=a))["amount_round"] for a in (30_000, 30_001, 35_000)] == [1, 0, 0]
    assert [away(event(amount=a))["amount_whole"] for a in (30_000, 30_001, 35_000)] == [1, 0, 1]


@settings(max_examples=40)
@given(streams)
def test_replay_and_serving_compute_equal_features(stream: list[Item]) -> None:
    columns = chunk_of(stream).events
    served = feature_matrix(columns, live(MemoryHistory(), stream))
    replay = Replay()
    reads = [replay.run(chunk_of(stream[start : start + 7])) for start in range(0, len(stream), 7)]
    replayed = feature_matrix(columns, np.concatenate([np.empty((0, READ_WIDTH), np.float32), *reads]))
    np.testing.assert_allclose(replayed, served, rtol=1e-4, atol=1e-4)
