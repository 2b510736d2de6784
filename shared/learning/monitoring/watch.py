"""Count a day's inputs, hold them against the days before, and tell the ledger of drift."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.contract.rows import HealthRow
from shared.learning.data.profile import Profile, read_profile
from shared.learning.lifecycle.ledger import monitored_row
from shared.learning.lifecycle.pointer import read_pointer
from shared.learning.monitoring.day_inputs import DayInputs, anchors_of, ask_day, earlier, keep_day, read_day
from shared.learning.monitoring.health_sql import ONE_DAY
from shared.learning.monitoring.input_sql import InputSql
from shared.learning.monitoring.inputs import Alert, alerts, health_rows, loss_alert, measure
from shared.learning.monitoring.measures import Key
from shared.learning.ports import Ledger
from shared.learning.specs.drift import DriftSpec
from shared.ports.blobs import Blobs
from shared.ports.tables import Queries

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InputWatch:
    """The services: queries, the bucket of models and that of rows, and the ledger."""

    queries: Queries
    sql: InputSql
    models: Blobs
    rows: Blobs
    ledger: Ledger
    spec: DriftSpec
    clock: Callable[[], dt.datetime]
    actor: str

    def measured(
        self, day: dt.datetime, key: Key, traffic: Sequence[HealthRow], known: Sequence[HealthRow]
    ) -> list[HealthRow]:
        """Return the measures of a day's inputs, and append drift to the ledger.

        `traffic` are the other measures of the day, `known` those of days before it. Without a champion, and without
        rows that have history, there are none. The ledger comes first: a run that is cut off repeats its row rather
        than loses it. Raises BundleRefused, Unavailable, Misconfigured.
        """
        version = read_pointer(self.models).version
        if version is None:
            return []
        if loss := loss_alert(traffic, [row for row in known if row.day < key.day], self.spec):
            self._record(loss, version, day)
        profile, before = read_profile(self.models, version), earlier(self.rows, day, self.spec.remembered_days)
        inputs = self._counted(day, version, profile, before)
        if not inputs.rows:
            return []
        found = measure(inputs, before, profile, self.spec)
        for alert in alerts(inputs, before, profile, self.spec, found.moves):
            self._record(alert, version, day)
        return health_rows(inputs, profile, found, Key(key.day, key.measured_at, model_version=version))

    def _counted(self, day: dt.datetime, version: str, profile: Profile, before: Sequence[DayInputs]) -> DayInputs:
        """Return the counts of a day, from the bucket if it has them."""
        if (kept := read_day(self.rows, day)) is not None and kept.version == version:
            return kept
        inputs = ask_day(self.queries, self.sql, day, version, profile, anchors_of(before, profile))
        if inputs.rows:
            keep_day(self.rows, inputs)
        return inputs

    def _record(self, alert: Alert, version: str, day: dt.datetime) -> None:
        log.warning("drift", extra={"fields": {"version": version, "reason": alert.reason, **alert.figures}})
        until = day + ONE_DAY
        self.ledger.append(
            monitored_row(alert.action, self.clock(), self.actor, alert.reason, version, alert.figures, until)
        )
