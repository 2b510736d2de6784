"""A small world of arrays: frauds that a model can tell, without a simulation."""

from __future__ import annotations

import numpy as np

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.split import DAY
from shared.learning.data.training_query import FACTS
from tests.benchmarks.learning.world import LearningWorld, categories
from tests.benchmarks.long_world.world import END, World

DAYS, PIX_A_DAY, FRAUDS = 420, 60, 0.03
CALM = ("night", "person_to_person", "device_unregistered", "customer_day_limit", "customer_night_limit")
"""Features that are 0, so that no rule on a limit fires for want of one."""
TELLING = ("amount", "payee_account_age", "payer_account_age")


def small_world(seed: int = 0) -> LearningWorld:
    """Return Pix of which features tell most frauds; every third reviewer errs, every third customer complains."""
    rng, n = np.random.default_rng(seed), DAYS * PIX_A_DAY
    fraud = rng.random(n) < FRAUDS
    features = np.full((n, len(FEATURE_NAMES)), np.nan, dtype=np.float32, order="F")
    for name in CALM:
        features[:, FEATURE_NAMES.index(name)] = 0
    for name in TELLING:
        features[:, FEATURE_NAMES.index(name)] = np.exp(rng.normal(size=n) + 1.6 * fraud)
    amount = 20 + 100 * rng.exponential(size=n) * (1 + fraud)
    at = int(END.timestamp() * 1e6) - DAYS * DAY + (np.arange(n) * DAY) // PIX_A_DAY
    facts = {name: categories(["PAYER" if name == "side" else None] * n) for name in FACTS}
    facts["payee_id"] = categories([f"account {i // 40}" if bad else None for i, bad in enumerate(fraud.tolist())])
    ids = [f"E12345678{i:023d}" for i in range(n)]
    errs, complains = rng.random(n) < 1 / 3, rng.random(n) < 1 / 3
    return LearningWorld(World(features, at, amount, fraud), ids, facts, fraud ^ errs, complains & ~fraud)
