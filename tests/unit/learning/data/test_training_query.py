"""The query of a training set."""

from __future__ import annotations

import datetime as dt

from shared.contract.event import micros
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.training_query import TrainingQuery


def test_query_takes_matured_pix_by_a_cut_off_in_utc() -> None:
    moment = dt.datetime(2026, 3, 1, 21, tzinfo=dt.timezone(dt.timedelta(hours=-3)))
    asked = TrainingQuery("p", "pix", 87, moment)
    assert asked.rows(FEATURE_NAMES).count(" f_") == len(FEATURE_NAMES)
    cut = "initiated_at <= TIMESTAMP_SUB(TIMESTAMP '2026-03-02 00:00:00.000000+00', INTERVAL 2088 HOUR)"
    assert cut in asked.rows(FEATURE_NAMES)
    assert cut in asked.count()
    windowed = TrainingQuery("p", "pix", 87, moment, window_days=30)
    for text in (windowed.rows(FEATURE_NAMES), windowed.count()):
        assert (
            f"{cut} AND initiated_at > TIMESTAMP_SUB({cut.removeprefix('initiated_at <= ')}, INTERVAL 720 HOUR)"
            in text
        )
    assert asked.until == micros(moment - dt.timedelta(days=87))
