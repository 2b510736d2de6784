"""Plans by the known figures."""

from __future__ import annotations

from hypothesis import strategies as st

from infra.capacity.figures import known, prices
from infra.capacity.plan import Plan, plan

KNOWN, PRICES = known(), prices()
volumes = st.floats(1e3, 2e9)


def planned(pix: float, days: int = 180) -> Plan:
    return plan(pix, KNOWN, PRICES, days)
