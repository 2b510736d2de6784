"""Keys of accounts."""

from __future__ import annotations

from shared.features.columns import Columns
from tests.unit.streams import ACCOUNTS, event


def test_accounts_of_streams_have_keys_of_their_own() -> None:
    assert len(set(Columns.of([event(i, 0) for i in range(len(ACCOUNTS))]).payer.tolist())) == len(ACCOUNTS)
