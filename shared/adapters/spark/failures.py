"""The errors of Spark, mapped once: ours that ended a task, else that Spark failed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from shared import errors
from shared.errors import Misconfigured, PixError, Unavailable

Found = TypeVar("Found")
_OURS = re.compile(r"shared\.errors\.(\w+): ([^\n]*)")
"""An error of ours in the text by which Spark tells that a task has failed."""


def result(call: Callable[[], Found]) -> Found:
    """Return the result of a call into Spark. Raises the error of ours that ended a task, else Unavailable."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        return call()
    except (PySparkException, Py4JError) as error:
        raise ours(str(error)) or Unavailable(f"Spark: {type(error).__name__}") from error


def ours(text: str) -> PixError | None:
    """Return the error of ours that the text of an error of Spark names.

    >>> ours("  File x\\nshared.errors.Misconfigured: a row has no time\\n")
    Misconfigured('a row has no time')
    """
    found = _OURS.search(text)
    kind = getattr(errors, found[1], Unavailable) if found else None
    return kind(found[2]) if found and kind in (Misconfigured, Unavailable, errors.BundleRefused) else None
