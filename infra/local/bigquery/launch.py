"""A local BigQuery: bqemulator, started offline and without touching the user's home."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
from duckdb_extensions import import_extension  # type: ignore[import-untyped]

from infra.local.loopback import LOOPBACK
from infra.local.processes import ChildProcess, Probe, answers_http, answers_tcp

EXTENSION = "spatial"  # bqemulator does not start without it
PACKAGE_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class BigQueryServer:
    """Where the local BigQuery is: REST for google-cloud-bigquery and bq, gRPC for the Storage APIs."""

    rest_port: int
    grpc_port: int

    @property
    def rest_url(self) -> str:
        """What BIGQUERY_EMULATOR_HOST and `bq --api` want."""
        return f"http://{LOOPBACK}:{self.rest_port}"

    @property
    def grpc_endpoint(self) -> str:
        """What an insecure gRPC channel of the Storage APIs connects to."""
        return f"{LOOPBACK}:{self.grpc_port}"

    def child(self, *, state: Path, objects: Path, project: str, persistent: bool = False) -> ChildProcess:
        """Describe the process that serves these ports.

        `state` holds its log, its home and, if `persistent`, its data. gs://bucket/name is read and written as
        `objects`/bucket/name.
        """
        home = state / "home"
        unpack_extension(home)
        return ChildProcess(
            "bigquery",
            [sys.executable, "-m", "infra.local.bigquery.server"],
            log_path=state / "bigquery.log",
            ready=self._ready(),
            env=self._environment(home, objects, project) | _persistence(state if persistent else None),
            cwd=state,
        )

    def _ready(self) -> Probe:
        rest, grpc = answers_http(f"{self.rest_url}/bigquery/v2/projects/x/datasets"), answers_tcp(self.grpc_port)
        return lambda child: grpc(child) and rest(child)

    def _environment(self, home: Path, objects: Path, project: str) -> dict[str, str]:
        return {
            "BQEMU_DEFAULT_PROJECT_ID": project,
            "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",  # Avro's extension would be downloaded
            "BQEMU_GCS_LOCAL_ROOT": str(objects.resolve()),
            "BQEMU_GRPC_PORT": str(self.grpc_port),
            "BQEMU_LOG_LEVEL": "warning",
            "BQEMU_REST_PORT": str(self.rest_port),
            "BQEMU_UPLOAD_STAGING_DIR": str(home.resolve() / "uploads"),
            "HOME": str(home.resolve()),  # DuckDB looks for extensions there
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")])),
        }


def unpack_extension(home: Path) -> None:
    """Put the extension that came with the Python package where DuckDB looks for it; a second time does nothing."""
    directory = home / ".duckdb" / "extensions"
    directory.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"extension_directory": str(directory.resolve())}) as connection:
        import_extension(EXTENSION, con=connection)


def _persistence(data: Path | None) -> dict[str, str]:
    if data is None:
        return {"BQEMU_PERSISTENCE_MODE": "ephemeral"}
    return {"BQEMU_PERSISTENCE_MODE": "persistent", "BQEMU_DATA_DIR": str((data / "data").resolve())}
