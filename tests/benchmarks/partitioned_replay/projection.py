"""The cost of a replay in partitions at another scale, from the counts of a measured one."""

from __future__ import annotations

from msgspec import Struct

from shared.replay.partitioned.run import SliceTally

ASSUMPTIONS = (
    "bytes and processor time of a Pix are as measured, at the measured number of partitions: more of them repeat "
    "facts, but never more than once for each record that a Pix names",
    "a slice has as many rows for each worker as here, and rounds as measured; run with other --slice-rows to see "
    "rounds grow with the length of a slice",
    "the records of an account, with its contacts and devices, take the bytes that they take here; each slice "
    "reads all of them in each round and writes them once, at its end",
    "one process reads the rows and divides the facts, which no worker shortens: its hours are the floor",
    "the network and the disks carry the bytes; neither is in the hours",
)


class Measured(Struct, frozen=True):
    """A measured replay: its counts, workers, processor seconds, those of the reading process, and its accounts."""

    tally: SliceTally
    workers: int
    cpu_s: float
    reader_cpu_s: float
    accounts: int
    state_bytes: int
    """Of all records at the end."""


class Projection(Struct, frozen=True):
    """The cost of a replay of `rows` by `workers`."""

    rows: int
    workers: int
    accounts: int
    slices: int
    rounds: int
    """Of all slices."""
    exchanged_tb: float
    """Facts, rows, reads and handed values, each written once and read once."""
    handed_tb: float
    """The part that goes from partition to partition in rounds."""
    state_tb: float
    """Of records, written."""
    cpu_hours: float
    floor_hours: float
    """Of the process that reads and divides."""
    hours: float
    """Of all, if the workers never wait."""


def projected(measured: Measured, rows: int, workers: int, accounts: int) -> Projection:
    """Return the cost of another replay, by ASSUMPTIONS."""
    tally, times = measured.tally, rows / measured.tally.rows
    slice_rows = tally.rows / tally.slices * workers / measured.workers
    slices = max(round(rows / slice_rows), 1)
    state = measured.state_bytes / measured.accounts * accounts
    exchanged = sum(size for name, size in tally.bytes.items() if name != "state")
    floor, cpu = (seconds * times / 3600 for seconds in (measured.reader_cpu_s, measured.cpu_s))
    return Projection(
        rows=rows,
        workers=workers,
        accounts=accounts,
        slices=slices,
        rounds=round(slices * sum(tally.rounds) / tally.slices),
        exchanged_tb=round(exchanged * times / 1e12, 2),
        handed_tb=round(tally.bytes.get("handed", 0) * times / 1e12, 4),
        state_tb=round(state * slices / 1e12, 2),
        cpu_hours=round(cpu, 1),
        floor_hours=round(floor, 1),
        hours=round(floor + (cpu - floor) / workers, 1),
    )
