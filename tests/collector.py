"""A collector of metrics over OTLP/HTTP that keeps the requests it received."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)


class Collector:
    """The requests received, latest last; `status` is the status of each answer."""

    def __init__(self) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self.status = 200
        self.url = ""

    def resource(self) -> dict[str, str]:
        """Return the resource attributes of the last export."""
        resource = self.requests[-1].resource_metrics[0].resource
        return {each.key: each.value.string_value for each in resource.attributes}

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of the last export by name."""
        (scope,) = self.requests[-1].resource_metrics[0].scope_metrics
        return {metric.name: metric for metric in scope.metrics}

    def points(self, name: str) -> dict[str, Any]:
        """Return the data points of a metric in the last export, by their only attribute's value."""
        metric = self.metrics()[name]
        points = getattr(metric, metric.WhichOneof("data")).data_points
        return {"".join(each.value.string_value for each in point.attributes): point for point in points}

    def numbers(self, name: str) -> dict[str, float]:
        """Return the values of a counter or gauge in the last export."""
        return {label: point.as_double or point.as_int for label, point in self.points(name).items()}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/metrics" and collector.status == 200:
                collector.requests.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(collector.status)
            self.end_headers()
            self.wfile.write(ExportMetricsServiceResponse().SerializeToString())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
