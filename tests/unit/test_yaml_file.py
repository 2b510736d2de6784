"""Data files are read alike by each parser of YAML."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from shared import yaml_file
from shared.features.limits import LIMITS_FILE
from shared.scoring.rules import RULES_FILE


@pytest.mark.parametrize("path", [LIMITS_FILE, RULES_FILE], ids=lambda path: path.name)
def test_reads_a_file_of_the_package_as_the_parser_in_python_does(path: Path) -> None:
    assert yaml_file.read(path) == yaml.safe_load(path.read_text("utf-8"))


def test_refuses_the_tag_of_a_python_object(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("!!python/object/apply:os.getcwd []")
    with pytest.raises(yaml.YAMLError):
        yaml_file.read(file)


def test_refuses_a_key_that_is_there_twice(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("a: {b: 1, c: 2}\nd:\n  b: 1\n  b: 2\n")
    with pytest.raises(yaml.YAMLError, match="'b' is there twice"):
        yaml_file.read(file)
