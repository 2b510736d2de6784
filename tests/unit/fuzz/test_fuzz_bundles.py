"""No mutant of a bundle or pointer serves that must not, or raises: briefly, and by `make fuzz-bundles` at length."""

from __future__ import annotations

import json
import random

import pytest

from tests.fuzz import bundles
from tests.fuzz.bundle_check import Found, World
from tests.fuzz.bundle_mutations import mutated
from tests.fuzz.bundle_seeds import seeds


def test_a_short_run_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert bundles.main(["--mutants", "600", "--processes", "1", "--seed", "1"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out.splitlines()[-1]) == {
        "mutants": 600,
        "served_wrongly": 0,
        "crashes": 0,
        "forged_served": 0,
    }
    served = int(told.err.split(" mutants are sound")[0].split()[-1])
    assert 20 < served < 200, "some mutants are sound, most are refused"


def test_the_checks_find_what_a_bundle_does_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a run without findings would say nothing."""
    from shared.scoring.bundle import Bundle
    from shared.scoring.thresholds import Thresholds

    monkeypatch.setattr(Bundle, "_check_golden", lambda *_: None)
    monkeypatch.setattr(Thresholds, "are_possible", lambda _: True)
    found, chance = Found(), random.Random(0)
    world = World(seeds())
    for _ in range(400):
        world.try_one(chance, found)
    assert found.served_wrongly > 5
    assert found.forged_served == 0


def test_the_checks_find_a_signature_that_is_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.scoring.signature._verifies", lambda *_: True)
    found, chance = Found(), random.Random(0)
    world = World(seeds())
    for _ in range(200):
        world.try_one(chance, found)
    assert found.forged_served > 5


def test_most_mutants_differ_from_their_seed() -> None:
    chance = random.Random(0)
    for files in seeds():
        for name, data in files.items():
            assert sum(mutated(name, data, chance) != data for _ in range(20)) > 12, name
