"""A Spark session, or a clear word about the part that is missing."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

APPLICATION = "pix-fraud-scoring"
WITHOUT = "use --engine local"
_PANDAS = "PySpark does not yet fully support pandas"
"""The beginning of a warning that pyspark gives of pandas 3, in this process and in each of its workers."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CONFIGURATION = {
    "spark.log.level": "ERROR",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
"""The settings of a run on this machine; those of spark-submit and of Dataproc are left as they are."""


@contextmanager
def session(master: str | None, otherwise: str = WITHOUT) -> Iterator[SparkSession]:
    """Give a session, and stop it with the block. Raises Misconfigured, Unavailable.

    Without `master`, it is the one that spark-submit names, else all CPUs of this machine. Python's workers are the
    program of this process, unless PYSPARK_PYTHON names another one. `otherwise` is the way without Spark, for
    the text of an error.
    """
    if os.environ.get("PYSPARK_GATEWAY_PORT") is None:
        require_java(otherwise)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with unsupported_pandas():
        try:
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise Misconfigured(f"pyspark is not installed: `make spark` installs it, or {otherwise}") from error
    try:
        with _signals_kept(), unsupported_pandas():
            found = _builder(SparkSession, master).getOrCreate()
    except (PySparkException, OSError) as error:
        raise Unavailable(f"Spark does not start (it needs Java 17 or newer): {type(error).__name__}") from error
    workers = found.sparkContext.environment
    workers["PYTHONWARNINGS"] = _worker_warnings(os.environ.get("PYTHONWARNINGS"))
    try:
        yield found
    finally:
        found.stop()


def _worker_warnings(known: str | None) -> str:
    """Return the filters of warnings of Python's workers: those of this process, and the one for pandas.

    >>> _worker_warnings("error")
    'error,ignore:PySpark does not yet fully support pandas:FutureWarning'
    """
    return ",".join([*([known] if known else []), f"ignore:{_PANDAS}:FutureWarning"])


def require_java(otherwise: str = WITHOUT) -> None:
    """Raise Misconfigured unless this machine has a Java to start."""
    home = os.environ.get("JAVA_HOME")
    if not (shutil.which("java") or (home and (Path(home) / "bin" / "java").exists())):
        raise Misconfigured(f"Spark needs Java 17 or newer, and there is none: install it, or {otherwise}")


@contextmanager
def unsupported_pandas() -> Iterator[None]:
    """Leave out the warning that pyspark gives of pandas 3: it hands over Arrow here, and no data frame of pandas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _PANDAS, FutureWarning)
        yield


def _builder(sessions: type[SparkSession], master: str | None) -> SparkSession.Builder:
    builder = sessions.builder.appName(APPLICATION)
    if master is None and "PYSPARK_GATEWAY_PORT" in os.environ:
        return builder
    builder = builder.master(master or f"local[{os.cpu_count() or 1}]")
    for name, value in _CONFIGURATION.items():
        builder = builder.config(name, value)
    return builder


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put back the handlers that a Spark context replaces: its own would end in a traceback."""
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
