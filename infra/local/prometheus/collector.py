"""A collector: takes metrics by OTLP over HTTP at /v1/metrics, and shows the latest of each instance at /metrics."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from infra.local.loopback import LOOPBACK
from infra.local.prometheus.exposition import CONTENT_TYPE, exposition, instance

FORGOTTEN_SECONDS = 300.0
"""Time after its last export for which an instance is shown, as in the OpenTelemetry Collector."""


class Latest:
    """The last export of each instance; its methods may be called from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[float, Any]] = {}

    def take(self, body: bytes) -> None:
        """Keep an export. Raises DecodeError, ValueError for a metric without a name in Prometheus."""
        sources = list(ExportMetricsServiceRequest.FromString(body).resource_metrics)
        exposition(sources)
        with self._lock:
            self._kept |= {instance(source.resource): (self._clock(), source) for source in sources}

    def page(self) -> str:
        """Return the page to scrape, without instances that have exported nothing for some time."""
        with self._lock:
            least = self._clock() - FORGOTTEN_SECONDS
            self._kept = {name: kept for name, kept in self._kept.items() if kept[0] >= least}
            return exposition(source for _, source in self._kept.values())


@contextlib.contextmanager
def collector(port: int = 0) -> Iterator[str]:
    """Run a collector in a thread, on any free port if it is 0; yield its address. Raises OSError."""
    latest = Latest()
    handler = type("_Handler", (_Handler,), {"latest": latest})
    with ThreadingHTTPServer((LOOPBACK, port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="collector", daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    latest: Latest

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path != "/v1/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            self.latest.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
        except (DecodeError, ValueError, OSError, EOFError, zlib.error) as error:
            self.send_error(HTTPStatus.BAD_REQUEST, type(error).__name__)
            return
        self._answer("application/x-protobuf", ExportMetricsServiceResponse().SerializeToString())

    def do_GET(self) -> None:
        if self.path != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self._answer(CONTENT_TYPE, self.latest.page().encode())

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Log nothing: exports and scrapes come every few seconds."""
