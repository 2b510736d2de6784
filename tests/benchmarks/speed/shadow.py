"""The score function with a challenger in the shadow against the same without one, in turns on one core."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from shared.scoring.bundle import MANIFEST, Manifest
from shared.scoring.challenge import Challenge
from tests.benchmarks.speed.comparison import Turns, paces, running, turns
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.revision import ROOT, Revision
from tests.benchmarks.speed.testbed import NotAnswered, Testbed

ALONE, SHADOWED = Revision(ROOT, "-alone"), Revision(ROOT, "-shadow")
CHALLENGER = "challenger"
_SINCE = "2025-01-01T00:00:00Z"
_SCORED_LEAST = 0.99
"""The share of the Pix that the challenger has to have scored: it is loaded beside the first batches."""


class Shadowed(Struct):
    """Transactions a second, and processor time for a million, without a challenger and with one."""

    per_second: Turns
    cpu_s_per_million: Turns

    @property
    def ratio(self) -> float:
        """Return the speed with a challenger to that without, by processor time, as with `Explained`."""
        return 1 / self.cpu_s_per_million.ratio


def shadowed(testbed: Testbed, prepared: Prepared, seconds: float, bundle: Mapping[str, bytes]) -> Shadowed:
    """Measure both with state in memory; the challenger is another version of the same model.

    Raises NotAnswered unless it has scored nearly every Pix.
    """
    testbed.publish(bundle, ALONE)
    testbed.publish(renamed(bundle), SHADOWED)
    testbed.publish(bundle, SHADOWED, Challenge(CHALLENGER, "SHADOW", _SINCE, _SINCE))
    with running(testbed, prepared, seconds, ALONE) as before, running(testbed, prepared, seconds, SHADOWED) as now:
        for run in (before, now):
            run.warm_up()
        found = paces([before, now], seconds)
    scored = now.server.counted("challenger.scored").get("", 0)
    if scored < _SCORED_LEAST * now.sent:
        raise NotAnswered(f"the challenger scored {scored} of {now.sent} transactions")
    return Shadowed(turns(found, "per_second"), turns(found, "cpu_s_per_million"))


def renamed(bundle: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the bundle as another version."""
    manifest = msgspec.structs.replace(msgspec.json.decode(bundle[MANIFEST], type=Manifest), version=CHALLENGER)
    return {**bundle, MANIFEST: msgspec.json.encode(manifest)}
