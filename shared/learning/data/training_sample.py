"""The training sample: `pix.training_sample`, to which each retraining appends the examples since the last one.

A training needs a few million examples of a year, not the year. An example enters once its Pix has matured: every
fraud, every Pix of the control group, and a share of the others, chosen by a hash of the EndToEndId. Only the days
that have matured since are read. Verdicts may change later, so the Pix of new reports are looked up again, and those
that changed get a new version. Rows are never updated: of a Pix and side, the latest version counts. Appending again
changes nothing.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from shared.batched import batched
from shared.contract.tables import feature_columns, query, timestamp
from shared.errors import Misconfigured
from shared.learning.data.label_chance import COLUMNS
from shared.ports.tables import Queries

MILLION = 1_000_000
MATURED, CHANGED = "MATURED", "CHANGED"
NO_VERDICT = "NONE"
"""The verdict of a Pix that is no example any more, as a report about it is open."""
IDS = 10_000
"""EndToEndIds in one statement, of which a million characters are allowed."""
_DAY = dt.timedelta(days=1)
_KEYS = ("end_to_end_id", "side")
_LABEL = ("verdict", "situation_type", "fraud_type", "hop", "funds_recovery_id")
_PAID = ("initiated_at", "amount", "initiation_form", "payer_ispb", "payee_ispb", "payee_id")
_COPIED = (*_PAID, *COLUMNS, *_LABEL, "labelled_at")


def kept(of: str = "") -> str:
    """Return the SQL of examples that are never sampled: frauds, and those of the control group.

    Each of them stands for many decisions. `of` is a prefix of the columns.
    """
    return f"({of}verdict = 'FRAUD' OR {of}policy_decision IS NOT NULL)"


def sample_hash(name: str = "end_to_end_id") -> str:
    """Return the SQL of a number below a million by which a Pix is in a sample, with both sides or neither."""
    return f"ABS(MOD(FARM_FINGERPRINT({name}), {MILLION}))"


class Among(Struct, frozen=True):
    """SQL conditions on the rows of score_events and of outcomes that are read."""

    scored: str
    told: str


class SampleSql(Struct, frozen=True):
    """Statements about the sample in dataset `dataset` of `project`, with the verdicts known at `as_of`."""

    project: str
    dataset: str
    maturity_days: float
    as_of: dt.datetime

    def known(self) -> str:
        """Return the query of the time until which the sample is complete, and of its first time."""
        return (
            f"SELECT MIN(recorded_at) AS first, MAX(recorded_at) AS last FROM {self._table('training_sample')} "  # noqa: S608 (names of our own)
            f"WHERE entered = '{MATURED}'"
        )

    def matured(self, since: dt.datetime | None) -> Among:
        """Return the Pix that matured after `since` (None: ever) and by `as_of`."""
        until = self._matured_at(self.as_of)
        if since is None:
            return Among(f"initiated_at <= {until}", "TRUE")
        after = self._matured_at(since)
        return Among(
            f"initiated_at > {after} AND initiated_at <= {until}", f"`at` > TIMESTAMP_SUB({after}, INTERVAL 1 DAY)"
        )

    def named(self, ids: Sequence[str], since: dt.datetime) -> Among:
        """Return the Pix of these ids that had matured at `since`."""
        listed = "end_to_end_id IN ('" + "', '".join(ids) + "')"  # literals, by which clustering limits the read
        return Among(f"{listed} AND initiated_at <= {self._matured_at(since)}", listed)

    def changed(self, since: dt.datetime) -> str:
        """Return the query of the ids of Pix about which reports have come since, and which may be in the sample."""
        feedback, after = self._table("feedback"), f"GREATEST(received_at, reported_at) > {timestamp(since)}"
        return (
            f"WITH recent AS (SELECT * FROM {feedback} WHERE {after}) "  # noqa: S608 (names of our own)
            "SELECT DISTINCT end_to_end_id FROM ("
            "SELECT end_to_end_id FROM recent UNION ALL "
            f"SELECT end_to_end_id FROM {feedback} WHERE report_id IN (SELECT infraction_report_id FROM recent)"
            ") AS reported WHERE end_to_end_id IS NOT NULL AND ("
            f"SUBSTR(end_to_end_id, 10, 8) <= FORMAT_TIMESTAMP('%Y%m%d', TIMESTAMP_ADD({self._matured_at(since)}, "
            f"INTERVAL 1 DAY)) OR end_to_end_id IN (SELECT end_to_end_id FROM {self._table('training_sample')}))"
        )

    def count(self, among: Among) -> str:
        """Return the query of the numbers of examples, and of days on which there are some.

        Not of days from the first to the last: one Pix with a date years back would take in more of each day.
        """
        return (
            "SELECT COUNTIF(verdict = 'LEGITIMATE') AS legitimate, "  # noqa: S608 (SQL of the contract)
            "GREATEST(COUNT(DISTINCT DATE(initiated_at)), 1) AS days "
            f"FROM ({self._examples(among)}) AS examples"
        )

    def append(self, among: Among, entered: str, legitimate: int) -> str:
        """Return the statement that appends examples which the sample does not have as they are.

        `legitimate` is the sampling rate per million of those that are not `kept`.
        """
        columns = (*_KEYS, *_COPIED, *feature_columns())
        same = " AND ".join(f"known.{name} IS NOT DISTINCT FROM examples.{name}" for name in _LABEL)
        never_sampled = kept("examples.")
        rate = f"IF({never_sampled}, 1.0, {legitimate / MILLION!r})"
        return (
            f"{self._insert('sampling_rate', *columns)} SELECT {timestamp(self.as_of)}, '{entered}', {rate}, "  # noqa: S608 (SQL of the contract)
            f"{', '.join(f'examples.{name}' for name in columns)} "
            f"FROM ({self._examples(among)}) AS examples LEFT JOIN ({self._versions()}) AS known "
            "ON known.end_to_end_id = examples.end_to_end_id AND known.side = examples.side "
            f"WHERE ({never_sampled} OR known.side IS NOT NULL "
            f"OR {sample_hash('examples.end_to_end_id')} < {legitimate}) AND NOT (known.side IS NOT NULL AND {same})"
        )

    def withdraw(self, among: Among) -> str:
        """Return the statement that appends versions without a verdict of Pix that are no examples any more."""
        columns = (*_KEYS, "initiated_at")
        return (
            f"{self._insert('verdict', 'sampling_rate', *columns)} "  # noqa: S608 (SQL of the contract)
            f"SELECT {timestamp(self.as_of)}, '{CHANGED}', '{NO_VERDICT}', 1.0, "
            f"{', '.join(f'known.{name}' for name in columns)} "
            f"FROM (SELECT * FROM ({self._versions()}) AS versions WHERE {among.scored}) AS known "
            f"LEFT JOIN ({self._examples(among)}) AS examples "
            "ON known.end_to_end_id = examples.end_to_end_id AND known.side = examples.side "
            f"WHERE known.verdict != '{NO_VERDICT}' AND examples.side IS NULL"
        )

    def _insert(self, *columns: str) -> str:
        return f"INSERT INTO {self._table('training_sample')} (recorded_at, entered, {', '.join(columns)})"

    def _versions(self) -> str:
        """Return the query of the latest version of each example, without features."""
        return latest(self._table("training_sample"), self.as_of, ", ".join((*_KEYS, "initiated_at", *_LABEL)))

    def _examples(self, among: Among) -> str:
        """Return the view `training_examples` as of `as_of`, over some of the rows."""
        text = query("training_examples", self.project, self.dataset, self.maturity_days, timestamp(self.as_of))
        return narrowed(text, self.project, self.dataset, among)

    def _matured_at(self, moment: dt.datetime) -> str:
        return f"TIMESTAMP_SUB({timestamp(moment)}, INTERVAL {round(24 * self.maturity_days)} HOUR)"

    def _table(self, name: str) -> str:
        return f"`{self.project}.{self.dataset}.{name}`"


def narrowed(text: str, project: str, dataset: str, among: Among) -> str:
    """Return a query that reads only some of the rows of score_events and of outcomes."""
    for name, condition in (("score_events", among.scored), ("outcomes", among.told)):
        table = f"`{project}.{dataset}.{name}`"
        some = f"FROM (SELECT * FROM {table} WHERE {condition}) AS {name}"  # noqa: S608 (conditions of our own)
        text = text.replace(f"FROM {table}", some)
    return text


def latest(table: str, as_of: dt.datetime, columns: str = "*") -> str:
    """Return the query of the latest version of each example at `as_of`."""
    return (
        f"SELECT {columns} FROM {table} WHERE recorded_at <= {timestamp(as_of)} "  # noqa: S608 (names of our own)
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY end_to_end_id, side ORDER BY recorded_at DESC) = 1"
    )


def extend(queries: Queries, sql: SampleSql, rows_a_day: int) -> None:
    """Append the examples until `sql.as_of`; legitimate ones are sampled to `rows_a_day` on the mean of those days.

    Versions of changed verdicts go first: a run that was cut off is repeated in full, since the days that matured say
    how far the sample goes. Raises Unavailable, Misconfigured.
    """
    [known] = queries.rows(sql.known(), {})
    since: dt.datetime | None = known["last"]
    if since is not None and since >= sql.as_of:
        if known["first"] > sql.as_of:
            raise Misconfigured(f"the training sample begins at {known['first']:%Y-%m-%d %H:%M}: train as of later")
        return
    matured = sql.matured(since)
    [counted] = queries.rows(sql.count(matured), {})
    legitimate = sampling_rate(counted, rows_a_day)
    if since is not None:
        for ids in batched((row["end_to_end_id"] for row in queries.rows(sql.changed(since), {})), IDS):
            among = sql.named(ids, since)
            queries.rows(sql.append(among, CHANGED, legitimate), {})
            queries.rows(sql.withdraw(among), {})
    queries.rows(sql.append(matured, MATURED, legitimate), {})


def sampling_rate(counted: Mapping[str, int], rows_a_day: int) -> int:
    """Return the sampling rate of legitimate Pix, per million.

    >>> sampling_rate({"legitimate": 100_000_000, "days": 1}, rows_a_day=20_000)
    200
    """
    room = rows_a_day * counted["days"]
    return MILLION if counted["legitimate"] <= room else max(1, math.floor(MILLION * room / counted["legitimate"]))
