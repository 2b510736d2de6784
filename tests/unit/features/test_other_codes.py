"""A value that no list names is none of those named: its flags are 0, not missing."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared.features.catalogue import FEATURE_NAMES, SLICES
from shared.features.columns import ACCOUNT_TYPES, FORMS, KEY_TYPES, PURPOSES, Columns
from shared.features.layout import READ_WIDTH
from shared.features.vector import feature_matrix
from shared.replay.arrow_columns import columns_of
from shared.replay.arrow_rows import plain_table
from tests.unit.streams import event

FAMILIES = {
    "initiation_form": ("form", FORMS),
    "purpose": ("purpose", PURPOSES),
    "payee_key_type": ("key", KEY_TYPES),
}
"""The family of flags and the known values of each column."""
CODES = {
    "initiation_form": "form",
    "purpose": "purpose",
    "payee_key_type": "key_type",
    "payer_account_type": "payer_type",
    "payee_account_type": "payee_type",
}


def vector(**values: Any) -> dict[str, float]:
    """Return the features of an event without history."""
    columns = Columns.of([event(**values)])
    row = feature_matrix(columns, np.full((1, READ_WIDTH), np.nan, dtype=np.float32))[0]
    return dict(zip(FEATURE_NAMES, row.tolist(), strict=True))


@pytest.mark.parametrize("column", FAMILIES)
def test_each_known_value_sets_its_flag_alone(column: str) -> None:
    stem, known = FAMILIES[column]
    for value in known:
        features = vector(**{column: value})
        flags = {name: features[name] for name in FEATURE_NAMES[SLICES[stem]]}
        assert flags == {f"{stem}_{each.lower()}": float(each == value) for each in known}


@pytest.mark.parametrize("column", FAMILIES)
def test_another_value_sets_no_flag(column: str) -> None:
    features = vector(**{column: "OTHER"})
    assert [features[name] for name in FEATURE_NAMES[SLICES[FAMILIES[column][0]]]] == [0.0] * len(FAMILIES[column][1])


@pytest.mark.parametrize(
    ("kind", "expected"), [("TRAN", 1.0), ("OTHR", 0.0), ("OTHER", 0.0), ("CACC", 0.0), (None, float("nan"))]
)
def test_only_tran_is_a_payment_account(kind: str | None, expected: float) -> None:
    found = vector(payer_account_type=kind, payee_account_type=kind)
    np.testing.assert_equal([found["payer_payment_account"], found["payee_payment_account"]], [expected] * 2)


@pytest.mark.parametrize("column", CODES)
def test_codes_of_stored_rows_are_those_of_events(column: str) -> None:
    values = ["OTHER", "NEWER", None, "DICT", "IPAY", "PHONE", "CACC"]
    if column in ("initiation_form", "purpose"):
        values.remove(None)
    changes: list[dict[str, Any]] = [{column: value} for value in values]
    events = [event(**each) for each in changes]
    fields = events[0].__struct_fields__
    rows: pa.Table = plain_table({name: [getattr(each, name) for each in events] for name in fields})
    expected, found = Columns.of(events), columns_of(rows)
    np.testing.assert_array_equal(getattr(found, CODES[column]), getattr(expected, CODES[column]))


def test_types_of_accounts_end_with_the_psp_itself() -> None:
    assert ACCOUNT_TYPES == ("CACC", "TRAN", "SLRY", "SVGS", "OTHR")
