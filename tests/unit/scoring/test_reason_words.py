"""Words of reasons: every feature is in one group, and every code that a row may hold has words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES, FEATURES
from shared.scoring import reason_words as module
from shared.scoring.control import CONTROL_GROUP
from shared.scoring.reason_words import REASONS_FILE, reason_words
from shared.scoring.rules import Rules
from shared.scoring.scorer import NO_HISTORY, NO_MODEL

WORDS = reason_words()


def test_every_feature_is_in_exactly_one_group() -> None:
    named = [name for group in WORDS.groups for name in group.names()]
    assert sorted(named) == sorted(FEATURE_NAMES)
    assert {name: WORDS.groups[index].code for name, index in WORDS.group_of.items()} == {
        name: group.code for group in WORDS.groups for name in group.names()
    }


def test_the_codes_are_those_of_the_rules_and_of_the_system_and_of_groups() -> None:
    rules = {rule.code for rule in Rules.load().rules}
    groups = [group.code for group in WORDS.groups]
    assert set(WORDS.codes) == rules | {CONTROL_GROUP, NO_HISTORY, NO_MODEL}
    assert len(WORDS.by_code) == len(WORDS.codes) + len(groups), "a code has one meaning"


def test_every_word_is_there_in_both_languages() -> None:
    evidence = [each for group in WORDS.groups for each in group.evidence]
    for each in (*WORDS.by_code.values(), *WORDS.units.values(), *evidence):
        assert each.pt.strip()
        assert each.en.strip()
    assert len({each.pt for each in WORDS.by_code.values()}) == len(WORDS.by_code)


def test_evidence_has_a_unit_in_words() -> None:
    assert {feature.unit for feature in FEATURES} == set(WORDS.units)
    (first, *_) = [group for group in WORDS.groups if group.code == "AMOUNT"]
    assert (first.evidence[0].feature, first.evidence[0].unit) == ("amount", "BRL")


def _left_out(tree: dict[str, Any]) -> None:
    tree["groups"][0]["features"].pop()


def _twice(tree: dict[str, Any]) -> None:
    tree["groups"][0]["features"].append("amount")


def _unknown(tree: dict[str, Any]) -> None:
    tree["groups"][0]["features"].append("no_such_feature")


def _foreign_evidence(tree: dict[str, Any]) -> None:
    tree["groups"][0]["evidence"][0]["feature"] = "amount"


@pytest.mark.parametrize("change", [_left_out, _twice, _unknown, _foreign_evidence])
def test_groups_that_do_not_fit_the_catalogue_are_refused(
    change: Callable[[dict[str, Any]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = yaml.safe_load(REASONS_FILE.read_text("utf-8"))
    change(tree)
    spoilt = tmp_path / "reasons.yaml"
    spoilt.write_text(yaml.safe_dump(tree), "utf-8")
    monkeypatch.setattr(module, "REASONS_FILE", spoilt)
    with pytest.raises(Misconfigured, match=r"reasons\.yaml"):
        reason_words.__wrapped__()
