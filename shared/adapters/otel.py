"""Metrics to an OpenTelemetry collector by OTLP over HTTP, or to Google's own at telemetry.googleapis.com.

OpenTelemetry's standard variables configure it (OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _TIMEOUT, _CERTIFICATE;
OTEL_RESOURCE_ATTRIBUTES). Google's endpoint takes the default credentials of the service account (role
telemetry.metricsWriter), and needs cloud.region among the attributes. The SDK's own reader is not used: it exports in
a thread of its own, which does not run while a function has no processor.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.errors import Unavailable
from shared.telemetry.metrics import Distribution, Metric, Series

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import export as otel
    from opentelemetry.sdk.resources import Resource

GOOGLE = "telemetry.googleapis.com"
WRITE_SCOPE = "https://www.googleapis.com/auth/monitoring.write"
SCOPE_NAME = "pix"


class OtlpExporter:
    """`shared.ports.messages.MetricsExporter` over the SDK's OTLP exporter.

    The first export imports the SDK, in its thread, so a cold start does not pay for it.
    """

    def __init__(self, endpoint: str, project: str, service: str, revision: str) -> None:
        """Name the source of metrics: Cloud Run's `service` and `revision`, and a new id for this instance.

        The id begins with the revision, as Google's store of metrics keeps of a source only its name and this id.
        """
        self._endpoint = endpoint
        self._attributes = {
            "service.name": service or "pix",
            "service.version": revision,
            "service.instance.id": f"{revision}/{uuid.uuid4()}",
            "gcp.project_id": project,
        }
        self._began = time.time_ns()
        self._sender: Any = None

    def export(self, series: Sequence[Series]) -> None:
        """Send the series, cumulative since this exporter was created. Blocks. Raises Unavailable, Misconfigured."""
        from opentelemetry.sdk.metrics.export import MetricExportResult

        from shared.adapters.google_failures import FAILURES

        data = metrics_data(series, _resource(self._attributes), self._began)
        try:
            if self._sender is None:
                self._sender = self._connected()
            result = self._sender.export(data)
        except FAILURES as error:
            raise Unavailable(f"metrics: {type(error).__name__}") from error
        if result is not MetricExportResult.SUCCESS:
            raise Unavailable("the collector of metrics refused the export")

    def _connected(self) -> Any:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        # It would log each failed export; Telemetry logs the incident once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        session = _authorized() if urlsplit(self._endpoint).hostname == GOOGLE else None
        return OTLPMetricExporter(endpoint=f"{self._endpoint.rstrip('/')}/v1/metrics", session=session)


def metrics_data(series: Iterable[Series], resource: Resource, began: int) -> otel.MetricsData:
    """Return series as the SDK's data, cumulative since `began` (nanoseconds)."""
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    now = time.time_ns()
    by_metric = groupby(sorted(series, key=lambda each: each.metric.name), attrgetter("metric"))
    metrics = [_metric(metric, list(own), began, now) for metric, own in by_metric]
    scope = ScopeMetrics(InstrumentationScope(SCOPE_NAME), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(metric: Metric, series: Sequence[Series], began: int, now: int) -> otel.Metric:
    from opentelemetry.sdk.metrics import export as otel

    cumulative = otel.AggregationTemporality.CUMULATIVE
    points: list[Any] = [_point(each, began, now) for each in series]
    data: otel.Histogram | otel.Gauge | otel.Sum
    if metric.kind == "histogram":
        data = otel.Histogram(points, cumulative)
    elif metric.kind == "gauge":
        data = otel.Gauge(points)
    else:
        data = otel.Sum(points, cumulative, is_monotonic=True)
    return otel.Metric(metric.name, metric.description, metric.unit, data)


def _point(series: Series, began: int, now: int) -> otel.HistogramDataPoint | otel.NumberDataPoint:
    from opentelemetry.sdk.metrics import export as otel

    metric, label, value = series
    attributes = {metric.label: label} if metric.label else {}
    if not isinstance(value, Distribution):
        return otel.NumberDataPoint(attributes, began, now, value)
    return otel.HistogramDataPoint(
        attributes, began, now, value.count, value.sum, value.counts, metric.bounds, value.least, value.most
    )


def _resource(own: Mapping[str, str]) -> Resource:
    """Return the source of metrics; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME add to it and override it."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    return Resource(own).merge(OTELResourceDetector().detect())


def _authorized() -> Any:
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=[WRITE_SCOPE])
    return AuthorizedSession(credentials)
