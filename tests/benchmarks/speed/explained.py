"""The score function with exact reasons for every Pix against the same model without, in turns on one core."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from shared.learning.training.packing import sealed
from shared.scoring.bundle import EXPLANATION, MANIFEST, REASONS, Manifest
from shared.scoring.explanation import OCCLUSION, Explanation
from shared.scoring.thresholds import OFF, SideThresholds, Thresholds
from tests.benchmarks.speed.comparison import Turns, paces, running, turns
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.revision import ROOT, Revision
from tests.benchmarks.speed.testbed import Testbed

WITHOUT, WITH = Revision(ROOT, "-unexplained"), Revision(ROOT, "-explained")


class Explained(Struct):
    """Transactions a second, and processor time for a million, without reasons and with them."""

    per_second: Turns
    cpu_s_per_million: Turns

    @property
    def ratio(self) -> float:
        """Return the speed with reasons to that without, by processor time, which other programs hardly change."""
        return 1 / self.cpu_s_per_million.ratio


def explained(testbed: Testbed, prepared: Prepared, seconds: float, bundle: Mapping[str, bytes]) -> Explained:
    """Measure both with state in memory."""
    testbed.publish(unstopping(bundle, is_explained=False), WITHOUT)
    testbed.publish(unstopping(bundle, is_explained=True), WITH)
    with running(testbed, prepared, seconds, WITHOUT) as before, running(testbed, prepared, seconds, WITH) as now:
        for run in (before, now):
            run.warm_up()
        found = paces([before, now], seconds)
    return Explained(turns(found, "per_second"), turns(found, "cpu_s_per_million"))


def unstopping(bundle: Mapping[str, bytes], is_explained: bool) -> dict[str, bytes]:
    """Return a bundle whose model stops nothing: without exact reasons it then explains nothing."""
    off = Thresholds(OFF, OFF)
    left_out = {MANIFEST} if is_explained else {MANIFEST, REASONS}
    files = {name: data for name, data in bundle.items() if name not in left_out}
    files["policy.json"] = msgspec.json.encode(SideThresholds(off, off))
    if not is_explained:
        groups = msgspec.json.decode(files[EXPLANATION], type=Explanation).groups
        files[EXPLANATION] = msgspec.json.encode(Explanation(OCCLUSION, groups))
    return sealed(files, msgspec.json.decode(bundle[MANIFEST], type=Manifest))
