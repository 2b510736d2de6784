"""Read training sets from tables with changed values."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from shared.adapters.memory.learning import MemoryExports
from shared.contract.event import micros
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.dataset import Dataset, read_parquet
from shared.learning.data.label_chance import LabelRates
from shared.learning.data.profile import Profile
from tests.unit.learning.synthetic import AS_OF, CONFIG

LATEST = micros(AS_OF)
SPEC = CONFIG.dataset
ALL_LABELLED = LabelRates()


def read(
    table: pa.Table,
    folder: Path,
    parts: int = 1,
    until: int = LATEST,
    profile: Profile | None = None,
    rates: LabelRates = ALL_LABELLED,
) -> Dataset:
    folder.mkdir(exist_ok=True)
    files = MemoryExports(table, parts).export("", folder)
    return read_parquet(files, FEATURE_NAMES, until, SPEC, profile, rates)


def on_both_sides(table: pa.Table, later: int = 0) -> pa.Table:
    """Return each Pix twice, once a side; the payee's institution states a time `later` by so many microseconds."""
    payers = put(table, "side", ["PAYER"] * len(table))
    at = pc.add(table["initiated_at"], pa.scalar(later, pa.duration("us"))).combine_chunks()
    return pa.concat_tables([payers, put(put(table, "initiated_at", at), "side", ["PAYEE"] * len(table))])


def put(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def changed(table: pa.Table, name: str, row: int, value: object) -> pa.Table:
    return put(table, name, [*table[name][:row].to_pylist(), value, *table[name][row + 1 :].to_pylist()])
