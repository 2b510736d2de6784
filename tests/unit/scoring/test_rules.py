"""Rules: conditions, scopes, sides and missing features, in any batch as in a plain reading of the rule."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Misconfigured
from shared.scoring import rules as module
from shared.scoring.rules import RULES_FILE, Decision, Rule, Rules, by_payee
from tests.unit.scoring.vectors import rule, severity, vectors

NAN = math.nan
APPROVE, HOLD, REJECT = Decision.APPROVE, Decision.HOLD, Decision.REJECT
BIG = ("amount", ">", 100.0)
_OPS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}


@pytest.mark.parametrize(
    ("op", "at_99", "at_100", "at_101"),
    [(">", 0, 0, 2), (">=", 0, 2, 2), ("<", 2, 0, 0), ("<=", 2, 2, 0), ("==", 0, 2, 0)],
)
def test_a_condition_compares_a_feature_with_a_number(op: str, at_99: int, at_100: int, at_101: int) -> None:
    one = rule(("amount", op, 100))
    assert [severity(one, amount=value) for value in (99, 100, 101)] == [at_99, at_100, at_101]


def test_all_conditions_have_to_be_met() -> None:
    one = rule(BIG, ("hour", ">=", 20))
    assert severity(one, amount=200, hour=21) == REJECT
    assert severity(one, amount=200, hour=19) == severity(one, amount=50, hour=21) == APPROVE


@pytest.mark.parametrize("decision", ["HOLD", "REJECT"])
def test_a_missing_feature_skips_the_rule_or_gives_at_most_hold(decision: str) -> None:
    facts = {"decision": decision, "shown": "HELD_FOR_REVIEW"}
    skip, fire = (rule(BIG, ("hour", ">", 20), **facts, when_missing=each) for each in ("skip", "fire"))
    assert severity(skip, amount=200) == severity(skip) == APPROVE
    assert severity(fire, amount=200) == severity(fire) == HOLD
    assert severity(fire, amount=50) == APPROVE  # the condition that is known is not met
    assert severity(fire, amount=200, hour=21) == severity(skip, amount=200, hour=21) == Decision[decision]


@pytest.mark.parametrize(
    ("scope", "feature", "inside", "outside", "unknown_is_inside"),
    [
        ("person_to_person", "person_to_person", 1, 0, True),
        ("night", "night", 1, 0, False),
        ("unregistered_device", "device_unregistered", 1, 0, False),
        ("not_automatic", "form_auto", 0, 1, True),
    ],
)
@pytest.mark.parametrize("when_missing", ["fire", "skip"])
def test_a_scope_has_its_own_meaning_of_missing(
    scope: str, feature: str, inside: float, outside: float, unknown_is_inside: bool, when_missing: str
) -> None:
    one = rule(BIG, scope=[scope], when_missing=when_missing)
    assert severity(one, amount=200, **{feature: inside}) == REJECT
    assert severity(one, amount=200, **{feature: outside}) == APPROVE
    assert severity(one, amount=200) == (REJECT if unknown_is_inside else APPROVE)
    assert severity(one, amount=50, **{feature: inside}) == APPROVE


def test_a_rule_with_two_scopes_needs_both() -> None:
    one = rule(BIG, scope=["night", "person_to_person"])
    assert severity(one, amount=200, night=1, person_to_person=1) == REJECT
    assert severity(one, amount=200, night=1, person_to_person=0) == APPROVE
    assert severity(one, amount=200, night=0, person_to_person=1) == APPROVE


@pytest.mark.parametrize(
    ("side", "payer", "payee", "unknown"), [("PAYER", 2, 0, 2), ("PAYEE", 0, 2, 0), ("ANY", 2, 2, 2)]
)
def test_a_rule_is_for_its_side_and_a_vector_without_one_is_the_payers(
    side: str, payer: int, payee: int, unknown: int
) -> None:
    one = rule(BIG, side=side)
    assert [severity(one, amount=200, side=0), severity(one, amount=200, side=1)] == [payer, payee]
    assert severity(one, amount=200) == unknown


def test_the_side_of_vectors() -> None:
    assert by_payee(vectors({"side": 0}, {"side": 1}, {})).tolist() == [False, True, False]


def test_the_severest_rule_decides_and_every_code_is_named_once_in_order() -> None:
    facts = {"decision": "HOLD", "shown": "HELD_FOR_REVIEW"}
    rules = Rules([rule(BIG, code="B", **facts), rule(BIG, code="A"), rule(("hour", ">", 1), code="B", **facts)])
    found = rules.apply(vectors({"amount": 200, "hour": 2}, {"amount": 50, "hour": 2}, {"amount": 50}))
    assert found.severity.tolist() == [REJECT, HOLD, APPROVE]
    assert found.codes == [("B", "A"), ("B",), ()]


def test_without_rules_or_transactions_nothing_fires() -> None:
    assert Rules([]).apply(vectors({"amount": 1})) == (np.zeros(1, np.int8), [()])
    assert Rules.load().apply(vectors()).codes == []


VALUES = st.sampled_from([NAN, 0.0, 1.0, 2.0])
NAMES = ("side", "night", "person_to_person", "device_unregistered", "form_auto", "amount", "hour")
SCOPES = ["person_to_person", "night", "unregistered_device", "not_automatic"]
CONDITIONS = st.lists(
    st.tuples(st.sampled_from(["amount", "hour"]), st.sampled_from(list(_OPS)), st.sampled_from([0.0, 1.0, 2.0])),
    min_size=1,
    max_size=3,
)


@st.composite
def drawn_rules(draw: st.DrawFn) -> Rule:
    decision = draw(st.sampled_from(["HOLD", "REJECT"]))
    return rule(
        *draw(CONDITIONS),
        code=draw(st.sampled_from("ABC")),
        side=draw(st.sampled_from(["PAYER", "PAYEE", "ANY"])),
        scope=draw(st.lists(st.sampled_from(SCOPES), unique=True)),
        decision=decision,
        shown="HELD_FOR_REVIEW" if decision == "HOLD" else "REFUSED_BY_LIMIT",
        when_missing=draw(st.sampled_from(["fire", "skip"])),
    )


def plainly(one: Rule, row: dict[str, float]) -> Decision:
    """Return the decision of a rule on one Pix, read word by word."""
    side = "PAYEE" if row["side"] == 1 else "PAYER"
    scopes = {
        "person_to_person": row["person_to_person"] != 0,
        "night": row["night"] == 1,
        "unregistered_device": row["device_unregistered"] == 1,
        "not_automatic": row["form_auto"] != 1,
    }
    known = [c for c in one.when if not math.isnan(row[c.feature])]
    met = all(_OPS[c.op](row[c.feature], c.value) for c in known)
    if one.side not in (side, "ANY") or not all(scopes[name] for name in one.scope) or not met:
        return APPROVE
    if len(known) == len(one.when):
        return Decision[one.decision]
    return HOLD if one.when_missing == "fire" else APPROVE


@given(st.lists(drawn_rules(), max_size=5), st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES)), max_size=9))
def test_a_batch_decides_as_each_rule_read_word_by_word(rules: list[Rule], rows: list[dict[str, float]]) -> None:
    found = Rules(rules).apply(vectors(*rows))
    decided = [[plainly(one, row) for one in rules] for row in rows]
    assert found.severity.tolist() == [max(each, default=APPROVE) for each in decided]
    named = [tuple(dict.fromkeys(one.code for one, d in zip(rules, each, strict=True) if d)) for each in decided]
    assert found.codes == named


def test_many_vectors_are_decided_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 3)
    rules = Rules([rule(BIG, code="A"), rule(("hour", ">", 1), code="B", when_missing="fire")])
    rows = vectors(*({"amount": a, "hour": h} for a, h in itertools.product((50, 200, NAN), (0, 2, NAN))))
    together = rules.apply(rows)
    alone = [rules.apply(row[None]) for row in rows]
    assert together.severity.tolist() == [int(one.severity[0]) for one in alone]
    assert together.codes == [one.codes[0] for one in alone]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", "small letters"),
        ("side", "BOTH"),
        ("scope", ["by_day"]),
        ("decision", "APPROVE"),
        ("shown", "NOTHING"),
        ("when_missing", "guess"),
        ("when", []),
        ("when", [{"feature": "amount", "op": "!=", "value": 0}]),
        ("when", [{"feature": "amount_of_luck", "op": ">", "value": 0}]),
        ("reason", "an unknown field"),
    ],
)
def test_an_invalid_rule_is_refused(field: str, value: object, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    first: dict[str, Any] = yaml.safe_load(RULES_FILE.read_text("utf-8"))[0]
    file.write_text(yaml.safe_dump([first]), "utf-8")
    Rules.load(file)
    file.write_text(yaml.safe_dump([{**first, field: value}]), "utf-8")
    with pytest.raises(Misconfigured):
        Rules.load(file)


def test_a_held_pix_is_not_shown_as_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    first: dict[str, Any] = yaml.safe_load(RULES_FILE.read_text("utf-8"))[0]
    file.write_text(yaml.safe_dump([{**first, "decision": "HOLD"}]), "utf-8")
    with pytest.raises(Misconfigured, match="holds a Pix"):
        Rules.load(file)


@pytest.mark.parametrize("field", ["side", "decision", "shown", "norm", "when_missing"])
def test_a_rule_states_each_of_its_facts(field: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    first: dict[str, Any] = yaml.safe_load(RULES_FILE.read_text("utf-8"))[0]
    del first[field]
    file.write_text(yaml.safe_dump([first]), "utf-8")
    with pytest.raises(Misconfigured, match=field):
        Rules.load(file)
