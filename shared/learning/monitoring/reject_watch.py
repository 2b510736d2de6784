"""Hold the rejects of a day and of its labels to the ceilings, and tell the ledger of a ceiling that is broken."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.contract.rows import HealthRow
from shared.learning.judging.live_rejects import RejectSums, too_imprecise, too_many
from shared.learning.lifecycle.ledger import REJECT_CEILING, monitored_row
from shared.learning.monitoring.measures import GOOD_REJECTED, REJECTS_CONFIRMED, REJECTS_JUDGED
from shared.learning.ports import Ledger
from shared.learning.specs.gate import CostSpec

LEVEL = 1e-3
"""Chance by which a model that is just at a ceiling is told on a day; there are a few days and sides a night."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RejectWatch:
    """The services: the ledger, and the costs of each side, which have the ceilings."""

    ledger: Ledger
    costs: Mapping[str, CostSpec]
    clock: Callable[[], dt.datetime]
    actor: str

    def tell(self, rows: Sequence[HealthRow], known: Sequence[HealthRow], until: dt.datetime) -> None:
        """Append a row for each ceiling that the measures `rows` show to be broken by Pix initiated before `until`.

        `known` are measures of other days, with which few rejects are pooled. Raises Unavailable.
        """
        for row in rows:
            if row.model_version is None or (reason := self._broken(row, rows, known)) is None:
                continue
            fields = {"version": row.model_version, "side": row.side, "reason": reason}
            log.warning("ceiling on rejects", extra={"fields": fields})
            figures = {row.measure: row.value or 0.0}
            self.ledger.append(
                monitored_row(REJECT_CEILING, self.clock(), self.actor, reason, row.model_version, figures, until)
            )

    def _broken(self, row: HealthRow, rows: Sequence[HealthRow], known: Sequence[HealthRow]) -> str | None:
        if row.side is None or row.value is None:
            return None
        spec = self.costs[row.side]
        if row.measure == GOOD_REJECTED:
            return too_many(RejectSums(row.row_count, row.value * row.row_count), row.side, spec, LEVEL)
        if row.measure == REJECTS_CONFIRMED:
            judged, confirmed = (
                sum(_of(measure, row, [*known, *rows])) for measure in (REJECTS_JUDGED, REJECTS_CONFIRMED)
            )
            return too_imprecise(confirmed, judged, row.side, spec, LEVEL)
        return None


def _of(measure: str, like: HealthRow, rows: Sequence[HealthRow]) -> Iterator[float]:
    """Yield the values of a measure of the same model, side and age, of all days."""
    wanted = (measure, like.side, like.model_version, like.age_days)
    for row in rows:
        if (row.measure, row.side, row.model_version, row.age_days) == wanted and row.value is not None:
            yield row.value
