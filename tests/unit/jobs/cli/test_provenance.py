"""The record of code and libraries."""

from __future__ import annotations

import re
from importlib.metadata import version

from jobs.cli.provenance import provenance
from shared.settings import Settings


def test_a_build_names_its_commit_and_image() -> None:
    found = provenance(Settings("p", commit="0123abcd", image="jobs@sha256:4567"))
    assert (found["commit"], found["image"]) == ("0123abcd", "jobs@sha256:4567")
    assert found["library.scikit-learn"] == version("scikit-learn")


def test_outside_of_a_build_the_commit_is_that_of_the_checkout_or_not_known() -> None:
    found = provenance(Settings("p"))
    assert re.fullmatch("[0-9a-f]{40}(-changed)?|not known", found["commit"])
    assert found["image"] == "none"
