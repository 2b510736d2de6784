"""A local BigQuery as a child process: bqemulator, started offline and without the user's home directory."""

import os
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import duckdb

from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess, Probe, answers_http, answers_tcp

BigQueryKind = Literal["bqemulator"]
EXTENSION = "spatial"  # bqemulator does not start without it
REST_SETTING = "--bigquery-port"
GRPC_SETTING = "--bigquery-grpc-port"
MEMORY = "PIX_LOCAL_BIGQUERY_MEMORY"
"""Memory that its tables and queries may take, as `8GB`; the rest goes to its directory."""
_ROOT = Path(__file__).resolve().parents[3]  # where `python -m infra...` finds the package


@dataclass(frozen=True, slots=True)
class BigQueryServer:
    """A local BigQuery: its kind, its ports, and its process, which the caller starts."""

    kind: BigQueryKind
    port: int
    """REST, for google-cloud-bigquery and `bq`."""

    grpc_port: int
    """gRPC, for the Storage APIs."""

    child: ChildProcess

    @property
    def rest_url(self) -> str:
        """Return the value of BIGQUERY_EMULATOR_HOST and of `bq --api`."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def grpc_endpoint(self) -> str:
        """Return host and port for an insecure gRPC channel of the Storage APIs."""
        return f"{LOOPBACK}:{self.grpc_port}"

    @property
    def addresses(self) -> dict[str, str]:
        """Return the variables through which clients find this server."""
        return {"BIGQUERY_EMULATOR_HOST": self.rest_url, "BIGQUERY_STORAGE_EMULATOR_HOST": self.grpc_endpoint}


def bigquery_server(
    directory: Path,
    objects: Path,
    project: str,
    port: int = 0,
    grpc_port: int = 0,
    *,
    persistent: bool = False,
    memory: str = "",
) -> BigQueryServer:
    """Return a server, not started; its log, its home and, if `persistent`, its tables in `directory`.

    It reads and writes gs://bucket/name as `objects`/bucket/name. A port of 0 takes a free one. `memory` limits the
    memory of tables and queries, as `8GB`; without, they take most of the machine's. Raises PortInUse.
    """
    home = directory / "home"
    unpack_extension(home)
    port, grpc_port = claim_port(port, REST_SETTING), claim_port(grpc_port, GRPC_SETTING)
    child = ChildProcess(
        "BigQuery",
        [sys.executable, "-m", "infra.local.bigquery"],
        log_path=directory / "bigquery.log",
        ready=_answers(port, grpc_port),
        env={
            **_environment(home, objects, project),
            **_persistence(directory if persistent else None),
            **({MEMORY: memory} if memory else {}),
            "BQEMU_GRPC_PORT": str(grpc_port),
            "BQEMU_REST_PORT": str(port),
        },
        cwd=directory,
    )
    return BigQueryServer("bqemulator", port, grpc_port, child)


def unpack_extension(home: Path) -> None:
    """Copy the extension from its Python package to DuckDB's directory in `home`, unless it is there."""
    directory = home / ".duckdb" / "extensions"
    directory.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"extension_directory": str(directory.resolve())}) as connection:
        connection.execute(f"INSTALL '{_packaged_extension()}'")


def _packaged_extension() -> str:
    """Return the path of the extension in its package, for use in SQL: duckdb_extensions does not escape quotes."""
    file = resources.files(f"duckdb_extension_{EXTENSION}") / f"extensions/v{duckdb.__version__}"
    return str(file / f"{EXTENSION}.duckdb_extension").replace("'", "''")


def _answers(port: int, grpc_port: int) -> Probe:
    rest, grpc = answers_http(f"http://{LOOPBACK}:{port}/bigquery/v2/projects/x/datasets"), answers_tcp(grpc_port)
    return lambda child: grpc(child) and rest(child)


def _environment(home: Path, objects: Path, project: str) -> dict[str, str]:
    return {
        "BQEMU_DEFAULT_PROJECT_ID": project,
        "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",  # Avro's extension would be downloaded
        "BQEMU_GCS_LOCAL_ROOT": str(objects.resolve()),
        "BQEMU_LOG_LEVEL": "warning",
        "BQEMU_UPLOAD_STAGING_DIR": str(home.resolve() / "uploads"),
        "HOME": str(home.resolve()),  # DuckDB looks for extensions there
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])),
    }


def _persistence(directory: Path | None) -> dict[str, str]:
    if directory is None:
        return {"BQEMU_PERSISTENCE_MODE": "ephemeral"}
    return {"BQEMU_PERSISTENCE_MODE": "persistent", "BQEMU_DATA_DIR": str((directory / "data").resolve())}
