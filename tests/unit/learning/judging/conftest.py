"""Reviews of two models, shared by the tests of this folder."""

from __future__ import annotations

import numpy as np
import pytest

from shared.learning.judging import comparison
from shared.learning.judging.plots import draw
from shared.learning.judging.review import Review, review
from shared.scoring.bundle import Bundle
from tests.unit.learning.judging.reviews import COLUMNS, DATA, RULES, SPACIOUS, TEST, TRIALS, bundle, lost


@pytest.fixture(scope="session")
def strong() -> Bundle:
    return bundle("strong")


@pytest.fixture(scope="session")
def weak() -> Bundle:
    return bundle("weak", COLUMNS[1:])


@pytest.fixture(scope="session")
def period() -> comparison.TestPeriod:
    return comparison.TestPeriod.of(DATA, TEST, RULES, SPACIOUS, unjudged=lost(1.0, np.arange(0)))


@pytest.fixture(scope="session")
def reviewed(strong: Bundle, weak: Bundle, period: comparison.TestPeriod) -> Review:
    return review(period, [(weak, 0.5), (strong, 0.6)], weak, SPACIOUS.gate)


@pytest.fixture(scope="session")
def images(reviewed: Review, strong: Bundle, period: comparison.TestPeriod) -> dict[str, bytes]:
    return draw(reviewed, strong, period, TRIALS)
