"""The bill as before: without backups, signed models and attested images, by the same figures."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from infra.capacity.__main__ import VOLUMES, volume
from infra.capacity.report import UNCOUNTED, table
from infra.capacity.safekeeping import added_cost
from tests.unit.infra.capacity.planned import KNOWN, PRICES, planned


@pytest.mark.parametrize(
    ("pix_a_day", "gigabytes", "added"),
    [(1e6, 2.7, 0.7257), (10e6, 27, 6.1689), (100e6, 269, 60.3769), (313e6, 842, 188.7289)],
)
def test_the_added_cost_by_hand(pix_a_day: float, gigabytes: float, added: float) -> None:
    """Seven backups of 0.02 USD a GB at 1.6, so 0.224 USD a GB; two keys of 0.06; 60 and 240 signatures: 0.0009."""
    of = replace(planned(pix_a_day), valkey_gb=gigabytes)
    assert added_cost(of, KNOWN, PRICES) == pytest.approx(added, abs=5e-5)


def test_each_volume_has_its_total_as_before() -> None:
    found = [volume(pix, 180, {}, KNOWN, PRICES) for pix in VOLUMES]
    text = table(found)
    before, after = (
        [int(cell.replace(",", "")) for cell in re.findall(r"[\d,]+(?= |$)", line)]
        for line in (_row(text, "total without backups and signatures, as before"), _row(text, "total "))
    )
    assert [round(each.total_usd_a_month) for each in found] == after
    assert [round(each.before_usd_a_month) for each in found] == before
    saved = [each.total_usd_a_month - each.before_usd_a_month for each in found]
    assert [round(each.cost.valkey_backups + 0.1209, 4) for each in found] == [round(each, 4) for each in saved]
    assert UNCOUNTED in text


def _row(text: str, name: str) -> str:
    (found,) = re.findall(rf"^  {name}\s+(\d.*)$", text, re.M)
    return str(found)
