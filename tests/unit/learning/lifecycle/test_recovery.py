"""The measured share of defrauded amounts that came back."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.adapters.memory.learning import MemoryQueries
from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import Misconfigured
from shared.learning import config
from shared.learning.lifecycle import recovery
from shared.scoring.signed_blobs import RECOVERY

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
QUICK = config.load(Path(__file__).parents[1] / "quick.yaml")


def sums(amounts: np.ndarray, recovered: np.ndarray) -> dict[str, Any]:
    products = {"aa": amounts @ amounts, "ar": amounts @ recovered, "rr": recovered @ recovered}
    return {"frauds": len(amounts), "a": amounts.sum(), "r": recovered.sum()} | products


def test_the_interval_holds_the_share_of_resampled_frauds() -> None:
    rng = np.random.default_rng(0)
    amounts = rng.lognormal(6, 1, 500)
    recovered = amounts * (rng.random(500) < 0.1)
    found = recovery.ratio(sums(amounts, recovered), NOW)
    rows = rng.integers(0, 500, (4000, 500))
    low, high = np.quantile(recovered[rows].sum(axis=1) / amounts[rows].sum(axis=1), [0.025, 0.975])
    assert found.share == pytest.approx(recovered.sum() / amounts.sum())
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.02)


def test_no_fraud_gives_no_share() -> None:
    queries = MemoryQueries(lambda _sql, _given: [{"frauds": 0, "a": None, "r": None}])
    assert recovery.measure(queries, "bank", "pix", 87, NOW, NOW) is None


def test_few_frauds_do_not_suffice() -> None:
    amounts = np.full(recovery.FRAUDS_MIN - 1, 100.0)
    assert not recovery.ratio(sums(amounts, amounts / 2), NOW).suffices


def test_a_published_share_takes_the_place_of_the_assumed_one_until_it_is_old() -> None:
    blobs = MemoryBlobs()
    assert recovery.with_recovery(QUICK, recovery.published(blobs, NOW)) == QUICK
    for share in (0.3, 0.2):
        recovery.publish(recovery.Recovery(share, 0.1, 0.4, 150, 9000.0, NOW), blobs)
    changed = recovery.with_recovery(QUICK, recovery.published(blobs, NOW + recovery.AGE_MAX))
    assert (changed.costs.payer.recovered, changed.costs.payee.recovered) == (0.2, 0.2)
    assert changed.costs.payee.friction_hold == QUICK.costs.payee.friction_hold
    assert recovery.published(blobs, NOW + recovery.AGE_MAX + dt.timedelta(seconds=1)) is None


@pytest.mark.parametrize("data", [b"", b"{}", b'{"share": "x"}', b"\xff"])
def test_an_object_that_is_no_share_is_refused(data: bytes) -> None:
    blobs = MemoryBlobs()
    blobs.write(RECOVERY, data, 0)
    with pytest.raises(Misconfigured, match="not a measured share"):
        recovery.published(blobs, NOW)
