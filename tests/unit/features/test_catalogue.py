"""The catalogue of features."""

from __future__ import annotations

from shared.features.catalogue import FEATURE_NAMES, FEATURES, markdown


def test_catalogue_names_are_unique_and_fit_for_columns() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURES) >= 60
    assert all(name.isidentifier() and name == name.lower() for name in FEATURE_NAMES)
    assert len(markdown().splitlines()) == len(FEATURES) + 2
