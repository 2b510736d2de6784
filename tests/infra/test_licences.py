"""Every package installed with the functions and jobs has an allowed licence."""

import pytest
from packaging.requirements import Requirement

from infra.deploy import licences
from infra.deploy.licences import ALLOWED, Licence, allowed, licence, locked
from infra.deploy.stage import ROOT


@pytest.mark.parametrize("part", ALLOWED)
def test_every_locked_package_has_an_allowed_licence(part: str) -> None:
    found = [licence(requirement) for requirement in locked(ROOT / part / "requirements.txt")]
    assert len(found) > (0 if "adapters" in part else 40)
    assert [each for each in found if not allowed(each.expression, ALLOWED[part])] == []


@pytest.mark.parametrize("expression", ["AGPL-3.0-only", "GPL-3.0-or-later", "LGPL", "MIT AND GPL-2.0-only", None])
def test_function_allows_no_copyleft_licence(expression: str | None) -> None:
    assert not allowed(expression, ALLOWED["functions/score"])


def test_licence_of_a_missing_package_is_unknown() -> None:
    assert licence(Requirement("nobody-knows-this==1.0")) == Licence("nobody-knows-this", "==1.0", None)


def test_one_forbidden_licence_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert licences.main([]) == 0
    monkeypatch.setitem(licences.ALLOWED, "functions/score", frozenset({"MIT"}))
    assert licences.main([]) == 1
    assert "NOT ALLOWED" in capsys.readouterr().out
