"""The environment of the local cloud: nothing in it leads to a real server, and loopback needs no proxy."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping

from jobs.cli.user import settle_user

_FOREIGN_PREFIXES = (
    "AWS_",
    "AZURE_",
    "BIGQUERY_",
    "BQEMU_",
    "CLOUDSDK_",
    "CLOUD_RUN_",
    "DATABRICKS_",
    "FUNCTION_",
    "GCE_METADATA_",
    "GCLOUD_",
    "GOOGLE_",
    "GUNICORN_",
    "K_",
    "MLFLOW_",
    "OTEL_",
    "PIX_",
)
_FOREIGN_SUFFIX = "_EMULATOR_HOST"
_FOREIGN = frozenset({"DEBUG", "ENTRY_POINT", "LOG_EXECUTION_ID", "THREADED_TIMEOUT_ENABLED", "THREADS", "WORKERS"})
"""Settings of functions-framework; with DEBUG it would run Flask's debugger."""

_PROGRAMS = frozenset({"CLOUDSDK_PYTHON", "CLOUDSDK_ROOT_DIR"})
"""Paths of installed programs, such as that of Google's Pub/Sub emulator; they lead to no server."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BYPASS = ("no_proxy", "NO_PROXY")
_DROPPED_PROXIES = frozenset({"all_proxy", "grpc_proxy", "no_grpc_proxy"})


def local_environment(base: Mapping[str, str], addresses: Mapping[str, str]) -> dict[str, str]:
    """Return `base` for a process of the local cloud, with the variables in `addresses`.

    Variables that lead a client to a real server, or that configure one of our programs, are removed from `base`.
    Connections to loopback bypass every proxy. Text is UTF-8, and the user has a name and a home directory.

    >>> base = {"LANG": "pt_BR.UTF-8", "HOME": "/root", "USER": "ana", "MLFLOW_REGISTRY_URI": "https://mlflow.bank"}
    >>> environment = local_environment(base, {"PUBSUB_EMULATOR_HOST": "127.0.0.1:8085"})
    >>> sorted(environment)
    ['HOME', 'LANG', 'PUBSUB_EMULATOR_HOST', 'PYTHONUTF8', 'USER']
    """
    kept = {name: value for name, value in base.items() if not _is_foreign(name) and not _dropped_proxy(name, value)}
    environment = {**kept, **_bypass(base), **_text(base)}
    settle_user(environment)
    return {**environment, **addresses}


def isolate_program() -> None:
    """Give this program a `local_environment`, and an output that never fails on a character.

    In a locale without UTF-8 the program starts again: its paths would be others to DuckDB, which reads UTF-8.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.execve(sys.executable, sys.orig_argv, local_environment(os.environ, {}))  # noqa: S606 - this program
    isolate()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def isolate() -> None:
    """Give this process a `local_environment`."""
    isolated = local_environment(os.environ, {})
    for name in set(os.environ) - set(isolated):
        del os.environ[name]
    os.environ.update(isolated)


def bypass(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep clients from using a proxy for loopback; empty without proxies."""
    return {name: environment[name] for name in _BYPASS if environment.get(name)}


def proxies(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the proxy variables that are set, sorted; no_proxy is one of them."""
    return sorted(name for name, value in environment.items() if value and name.lower().endswith("_proxy"))


def foreign(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that `local_environment` shuts out, sorted."""
    return sorted(filter(_is_foreign, environment))


def _is_foreign(name: str) -> bool:
    if name in _PROGRAMS:
        return False
    return name in _FOREIGN or name.startswith(_FOREIGN_PREFIXES) or name.endswith(_FOREIGN_SUFFIX)


def _dropped_proxy(name: str, value: str) -> bool:
    """Return True for a proxy of all protocols or of gRPC, and for a SOCKS proxy, which httpx refuses."""
    name = name.lower()
    return name in _DROPPED_PROXIES or (name.endswith("_proxy") and value.lower().startswith("socks"))


def _text(base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of UTF-8: Java, in the locale C, does not start in a directory with an accent.

    >>> _text({"LANG": "pt_BR.UTF-8", "LC_ALL": "C"})
    {'PYTHONUTF8': '1', 'LC_ALL': 'C.UTF-8'}
    """
    locale = next((base[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if base.get(name)), "C")
    utf8 = locale.upper().replace("-", "").endswith("UTF8")
    return {"PYTHONUTF8": "1"} if utf8 else {"PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}


def _bypass(base: Mapping[str, str]) -> dict[str, str]:
    """Return no_proxy in both cases: the hosts in `base` and loopback. Return nothing if `base` has no proxy.

    >>> _bypass({"http_proxy": "http://proxy.bank", "NO_PROXY": "bank.internal, localhost"})["no_proxy"]
    'bank.internal,localhost,127.0.0.1,::1'
    """
    if not proxies(base):
        return {}
    given = ",".join(base.get(name, "") for name in _BYPASS).split(",")
    hosts = [host.strip() for host in given if host.strip()]
    value = "*" if "*" in hosts else ",".join(dict.fromkeys([*hosts, *_LOOPBACK]))
    return dict.fromkeys(_BYPASS, value)
