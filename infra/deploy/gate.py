"""Judge a revision that has a part of the traffic, by its metrics beside those of the others.

python3 infra/deploy/gate.py PROJECT SERVICE REVISION SECONDS, with ACCESS_TOKEN in the environment. It needs nothing
but Python's own library, as it runs in the image of gcloud. Exit codes: 0 as good as the others, or too few events to
tell; 1 worse; 2 wrong options; 3 the metrics cannot be read.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

GOOGLE = "https://monitoring.googleapis.com/v1"
PATIENCE = 30.0
FEW = 3
"""Bad events below which a revision is not judged: one broken message must not stop a deployment."""
GOOD, WORSE, UNREAD = 0, 1, 3


OWN = 'job="{service}", instance{is_}~"{revision}/.*"'
"""Series that a function exports: the id of an instance begins with its revision (`shared.adapters.otel`)."""
OF_CLOUD_RUN = 'service_name="{service}", revision_name{is_}~"{revision}"'
"""Series that Cloud Run itself counts (https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-run)."""


class Measure(NamedTuple):
    """A kind of event: the series of all and of the bad (or good) ones, and how much more of them is too much."""

    name: str
    all: str
    marked: str
    excess: float
    marks_good: bool = False
    of: str = OWN


_DELIVERIES = Measure(
    "deliveries that failed",
    '"pix.messages"',
    '"pix.messages", status=~"unavailable|overloaded|failed|refused"',
    0.005,
)
_ANSWERS = Measure("answers that failed", '"pix.answers"', '"pix.answers", status=~"5..|429"', 0.005)
_DEGRADED = Measure(
    "Pix decided without model or history", '"pix.scored"', '"pix.scored", step=~"no_history|rules_only"', 0.01
)
_SLOW = Measure(
    "messages that took a second",
    '"pix.stage.duration_count", stage="total"',
    '"pix.stage.duration_bucket", stage="total", le=~"1([.]0)?"',
    0.02,
    marks_good=True,
)
_PAGES = Measure(
    "pages that failed",
    '"run_googleapis_com:request_count"',
    '"run_googleapis_com:request_count", response_code_class="5xx"',
    0.005,
    of=OF_CLOUD_RUN,
)
MEASURES = {
    "pix-console": (_PAGES,),
    "pix-decide": (_ANSWERS, _DEGRADED),
    "pix-label": (_DELIVERIES, _SLOW),
    "pix-outcome": (_DELIVERIES, _SLOW),
    "pix-score": (_DELIVERIES, _DEGRADED, _SLOW),
}


class Events(NamedTuple):
    """Numbers of all and of bad events."""

    all: float
    bad: float

    @property
    def share(self) -> float:
        """Return the share of bad events, 0 without any."""
        return self.bad / self.all if self.all else 0.0


Ask = Callable[[str], float]
"""Return the value of a query, 0 without one."""


def query(measure: Measure, series: str, service: str, revision: str, own: bool, seconds: int) -> str:
    """Return the PromQL of the increase of a measure's series at a revision, or at all others of its service."""
    which = measure.of.format(service=service, revision=revision, is_="=" if own else "!")
    return f"sum(increase({{{series}, {which}}}[{seconds}s]))"


def reasons(ask: Ask, service: str, revision: str, seconds: int) -> list[str]:
    """Return the measures by which a revision is worse than the others."""
    found = []
    for measure in MEASURES[service]:
        own, others = (_events(ask, measure, service, revision, of, seconds) for of in (True, False))
        if own.bad >= FEW and own.share > others.share + measure.excess:
            found.append(f"{measure.name}: {own.bad:.0f} of {own.all:.0f}, others {others.share:.2%}")
    return found


def _events(ask: Ask, measure: Measure, service: str, revision: str, own: bool, seconds: int) -> Events:
    every, marked = (
        ask(query(measure, each, service, revision, own, seconds)) for each in (measure.all, measure.marked)
    )
    return Events(every, max(every - marked, 0.0) if measure.marks_good else marked)


def asked(endpoint: str, project: str, token: str, text: str) -> float:
    """Return the value of a query in Cloud Monitoring. Raises OSError, ValueError."""
    request = urllib.request.Request(  # noqa: S310 (an address of ours)
        f"{endpoint}/projects/{project}/location/global/prometheus/api/v1/query",
        data=urllib.parse.urlencode({"query": text}).encode(),
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        body = json.load(answer)
    found = body["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


def main(arguments: list[str] | None = None) -> int:
    """Judge one revision and return the exit code."""
    parser = argparse.ArgumentParser(prog="gate.py", description=__doc__.partition("\n")[0])
    parser.add_argument("project")
    parser.add_argument("service", choices=MEASURES)
    parser.add_argument("revision")
    parser.add_argument("seconds", type=int, help="time to look back")
    parser.add_argument("--endpoint", default=GOOGLE, help="of Monitoring's API (default: %(default)s)")
    given = parser.parse_args(arguments)
    token = os.environ.get("ACCESS_TOKEN", "")
    try:
        worse = reasons(
            lambda text: asked(given.endpoint, given.project, token, text),
            given.service,
            given.revision,
            given.seconds,
        )
    except (OSError, ValueError, LookupError) as error:
        sys.stderr.write(f"gate: the metrics of {given.service} cannot be read: {type(error).__name__}\n")
        return UNREAD
    for reason in worse:
        sys.stderr.write(f"gate: {given.revision} is worse by {reason}\n")
    return WORSE if worse else GOOD


if __name__ == "__main__":
    sys.exit(main())
