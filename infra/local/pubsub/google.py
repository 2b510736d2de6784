"""Google's own Pub/Sub emulator, a component of the Cloud SDK."""

from __future__ import annotations

import http.client
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

_EMULATOR = Path("platform", "pubsub-emulator", "bin", "cloud-pubsub-emulator")
_USUAL_ROOTS = (
    "/usr/lib/google-cloud-sdk",  # Debian and Red Hat packages
    "/snap/google-cloud-cli/current",
    "/opt/google-cloud-sdk",
    "/opt/homebrew/share/google-cloud-sdk",
    "/usr/local/share/google-cloud-sdk",
    "~/google-cloud-sdk",
)


def find_emulator(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the emulator's start script, or None where it or Java is missing."""
    if find_java(environment) is None:
        return None
    scripts = (root.expanduser() / _EMULATOR for root in _roots(environment))
    return next((script for script in scripts if os.access(script, os.X_OK)), None)


def find_java(environment: Mapping[str, str]) -> str | None:
    """Return the path of Java, or None if it is not installed."""
    home = environment.get("JAVA_HOME")
    return shutil.which("java", path=f"{home}/bin" if home else environment.get("PATH"))


def google_command(script: Path, host: str, port: int) -> list[str]:
    """Return the command that starts the emulator on a host and port."""
    return [str(script), f"--host={host}", f"--port={port}"]


def google_is_ready(host: str, port: int) -> bool:
    """Return True once the emulator answers HTTP, which it serves on the port of gRPC."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _roots(environment: Mapping[str, str]) -> Iterator[Path]:
    if "CLOUDSDK_ROOT_DIR" in environment:
        yield Path(environment["CLOUDSDK_ROOT_DIR"])
    gcloud = shutil.which("gcloud", path=environment.get("PATH"))
    if gcloud:
        yield Path(gcloud).resolve().parent.parent
    yield from map(Path, _USUAL_ROOTS)
