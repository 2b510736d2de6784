"""Fixtures of several packages' unit tests."""

from __future__ import annotations

import pytest

from tests.unit.clocks import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
