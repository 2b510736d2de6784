"""The volumes at which quotas bind."""

from __future__ import annotations

import pytest

from infra.capacity.binding import bounds
from infra.capacity.figures import Quota, quotas
from tests.unit.infra.capacity.planned import planned


def test_the_first_valkey_quota_binds_where_a_second_shard_is_planned() -> None:
    own = [quota for quota in quotas() if quota.needs in ("valkey_filled", "valkey_cores")]
    first = bounds(planned(1e6), own, planned)[0].reached_at
    assert first
    assert planned(first * 0.999).valkey_shards == 1
    assert planned(first * 1.001).valkey_shards > 1


@pytest.mark.parametrize("quota", quotas(), ids=lambda quota: quota.needs)
def test_a_quota_binds_at_its_volume(quota: Quota) -> None:
    [bound] = bounds(planned(1e6), [quota], planned)
    if bound.reached_at is None:
        assert getattr(planned(1e11), bound.quota.needs) <= bound.quota.limit
        return
    assert getattr(planned(bound.reached_at * 0.999), bound.quota.needs) <= bound.quota.limit
    assert getattr(planned(bound.reached_at * 1.001), bound.quota.needs) >= bound.quota.limit


def test_the_quota_that_binds_first_comes_first() -> None:
    found = [bound.reached_at or float("inf") for bound in bounds(planned(1e6), quotas(), planned)]
    assert found == sorted(found)
    assert len(found) == len(quotas())
