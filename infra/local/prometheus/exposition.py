"""Metrics of OTLP in Prometheus's text format.

Names and labels are those that Prometheus's own receiver of OTLP gives: `job` is the name of the service, `instance`
the id of its instance. https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from infra.monitoring.names import translated

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_KINDS = {"sum": "counter", "gauge": "gauge", "histogram": "histogram"}
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(sources: Iterable[Any]) -> str:
    """Return the page to scrape for some ResourceMetrics of OTLP, one for each instance.

    Lines of a metric have to stand together, so they are gathered over all instances first.
    """
    lines: dict[str, list[str]] = {}
    for source in sources:
        labels = _labels(source.resource)
        for metric in (metric for scope in source.scope_metrics for metric in scope.metrics):
            data = metric.WhichOneof("data")
            name = translated(metric.name, metric.unit, _KINDS[data])
            own = lines.setdefault(name, [f"# TYPE {name} {_KINDS[data]}"])
            own += [line for point in getattr(metric, data).data_points for line in _point(name, data, labels, point)]
    return "".join(f"{line}\n" for own in lines.values() for line in own)


def instance(resource: Any) -> tuple[str, str]:
    """Return the job and the instance of a resource."""
    found = {each.key: each.value.string_value for each in resource.attributes}
    return found.get("service.name", ""), found.get("service.instance.id", "")


def _labels(resource: Any) -> dict[str, str]:
    return dict(zip(("job", "instance"), instance(resource), strict=True))


def _point(name: str, data: str, labels: Mapping[str, str], point: Any) -> Iterator[str]:
    own = {**labels, **{each.key: each.value.string_value for each in point.attributes}}
    if data != "histogram":
        value = point.as_double if point.WhichOneof("value") == "as_double" else point.as_int
        yield _line(name, own, value)
        return
    for bound, count in zip((*point.explicit_bounds, math.inf), accumulate(point.bucket_counts), strict=True):
        yield _line(f"{name}_bucket", {**own, "le": "+Inf" if bound == math.inf else repr(bound)}, count)
    yield _line(f"{name}_sum", own, point.sum)
    yield _line(f"{name}_count", own, point.count)


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    matched = ",".join(f'{label}="{text.translate(_ESCAPED)}"' for label, text in labels.items())
    return f"{name}{{{matched}}} {value!r}"
