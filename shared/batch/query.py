"""The GoogleSQL of the rows of a period, with features as served."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from shared.batch.inputs import columns_of
from shared.contract.fields import NOBODY
from shared.contract.tables import first, timestamp


def period_sql(
    project: str, dataset: str, since: dt.datetime, until: dt.datetime, as_of: dt.datetime, features: Sequence[str]
) -> str:
    """Return the SQL of the first row of each Pix and side initiated from `since` to before `until`.

    The Pix that tries a deployment is left out. Rows are in no order, which would make BigQuery sort them all.
    """
    columns = columns_of(features, scheduled=True)
    period = f"initiated_at >= {timestamp(since)} AND initiated_at < {timestamp(until)}"
    rows = first(project, dataset, timestamp(as_of), period, (*columns, "payer_ispb"))
    return f"SELECT {', '.join(columns)} FROM ({rows}) AS scored WHERE payer_ispb IS DISTINCT FROM '{NOBODY}'"  # noqa: S608 (names from settings and the catalogue)
