"""Commands of one tool in the texts of scripts and documents, as the shell would pass them on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

_QUOTED = r"'[^']*'|\"(?:[^\"\\$]|\\.|\$\([^()]*\)|\$(?!\())*\"|\\."
_WORD = rf"(?:{_QUOTED}|[^\s'\"\\;|&()<>`#]|(?<=\S)#)+"
_BEFORE = r"(?m:^|[`({;|]|&&|\bdo\b)[ \t]*"  # elsewhere, the tool's name is prose
_VALUE = re.compile(r"\$\([^()]*\)|\$\{[^}]*\}|\$[\w#@*]+")


def commands(tool: str, text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a tool; an `x` stands for each value that only a run would know.

    An unquoted variable alone is an option that may be absent, so it is left out.

    >>> list(commands("gcloud", 'a=$(gcloud x y "$B-z" $c --f=$d) # gcloud is a tool'))
    [['gcloud', 'x', 'y', 'x-z', '--f=x']]
    """
    joined = re.sub(r"\\\n\s*", " ", text)
    bare = re.sub(r"(?m)(^|\s)#\s.*$", "", joined)
    for found in re.finditer(rf"{_BEFORE}({tool}(?:[ \t]+{_WORD})+)", bare):
        yield list(_words(found[1]))


def _words(command: str) -> Iterator[str]:
    for word in re.findall(_WORD, command):
        if not re.fullmatch(r"\$\w+", word):
            yield from shlex.split(_VALUE.sub("x", word))
