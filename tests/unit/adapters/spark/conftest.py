"""A Spark session for all tests of the adapter, as it takes seconds to start."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from shared.adapters.spark import session as sessions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

needs_spark = pytest.mark.skipif(
    find_spec("pyspark") is None or shutil.which("java") is None,
    reason="pyspark (`make spark`) and Java 17 are needed",
)

needs_xgboost = pytest.mark.skipif(find_spec("xgboost") is None, reason="xgboost (`make spark`) is needed")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYSPARK_PYTHON", sys.executable)
        with sessions.session("local[2]") as found:
            assert {each: signal.getsignal(each) for each in handlers} == handlers
            yield found
