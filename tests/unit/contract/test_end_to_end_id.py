"""The minute in an EndToEndId."""

import pytest

from shared.contract.end_to_end_id import minute_of


@pytest.mark.parametrize("id_", ["E12345678202613201432aaaaaaaaaaa", "E12345678202602301432aaaaaaaaaaa", "E1", ""])
def test_an_id_without_a_minute_has_none(id_: str) -> None:
    assert minute_of(id_) is None
