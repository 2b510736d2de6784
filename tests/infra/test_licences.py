"""What is installed with the functions and jobs may be used as we use it."""

import pytest
from packaging.requirements import Requirement

from infra.deploy import licences
from infra.deploy.licences import ALLOWED, Licence, allowed, licence, locked
from infra.deploy.stage import ROOT


@pytest.mark.parametrize("part", ALLOWED)
def test_every_package_of_a_lock_has_a_licence_that_is_allowed_there(part):
    found = [licence(requirement) for requirement in locked(ROOT / part / "requirements.txt")]
    assert len(found) > 40
    assert [each for each in found if not allowed(each.expression, ALLOWED[part])] == []


@pytest.mark.parametrize("expression", ["AGPL-3.0-only", "GPL-3.0-or-later", "LGPL", "MIT AND GPL-2.0-only", None])
def test_a_function_takes_nothing_that_asks_for_its_own_source(expression):
    assert not allowed(expression, ALLOWED["functions/score"])


def test_a_package_that_is_not_installed_counts_as_unknown():
    assert licence(Requirement("nobody-knows-this==1.0")) == Licence("nobody-knows-this", "==1.0", None)


def test_one_licence_that_is_not_allowed_fails_the_list(monkeypatch, capsys):
    assert licences.main([]) == 0
    monkeypatch.setitem(licences.ALLOWED, "functions/score", frozenset({"MIT"}))
    assert licences.main([]) == 1
    assert "NOT ALLOWED" in capsys.readouterr().out
