"""A batch from input to result, by an engine that scores parts and writes spans."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

import msgspec
import pyarrow as pa

from shared.batch.inputs import PART_ROWS, Inputs, Part, batches
from shared.batch.output import ResultFile, ResultFolder, ResultManifest, by_span, total
from shared.batch.scoring import SCHEMA, BatchScorer, Method
from shared.batch.spans import Slice
from shared.scoring.bundle import Bundle

T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[int, int, str], None]
"""Show how much is done, of how much in all, and a short status."""
Step = Callable[[str], AbstractContextManager[Progress]]
"""A named step of a batch, and its progress."""


@dataclass(frozen=True, slots=True)
class BatchRun:
    """The method, the place of the result, and the length of its spans in hours; it can be pickled."""

    method: Method
    folder: ResultFolder
    span_hours: int = 24

    def scored(self, scorer: BatchScorer, rows: Iterable[pa.RecordBatch], most: int = PART_ROWS) -> Iterator[Slice]:
        """Decide rows and keep them in the work folder, about `most` at a time; yield the slices."""
        decided: list[pa.RecordBatch] = []
        for each in rows:
            decided.append(scorer.scored(each))
            if sum(one.num_rows for one in decided) >= most:
                yield from self._kept(decided)
                decided = []
        yield from self._kept(decided)

    def finished(self, span: int, slices: Sequence[Slice]) -> ResultFile:
        """Write the file of a span."""
        return self.folder.finish(span, slices, self.span_hours)

    def _kept(self, decided: list[pa.RecordBatch]) -> list[Slice]:
        return self.folder.spill(pa.Table.from_batches(decided, SCHEMA), self.span_hours)


class Engine(Protocol):
    """The machines that do the work of a batch."""

    def score(self, batch: BatchRun, rows: Inputs, progress: Progress) -> list[Slice]:
        """Decide the rows of all parts. Raises Misconfigured, Unavailable."""
        ...

    def write(self, batch: BatchRun, spans: Mapping[int, list[Slice]], progress: Progress) -> list[ResultFile]:
        """Write the file of each span. Raises Misconfigured, Unavailable."""
        ...


class LocalEngine:
    """Threads of this process: ONNX Runtime, Arrow and NumPy compute without the interpreter's lock."""

    def __init__(self, bundle: Bundle, workers: int | None = None) -> None:
        """`bundle` is that of the batch, fastest `by_columns`; `workers` are by default as many as there are CPUs."""
        self._bundle = bundle
        self._workers = workers or os.cpu_count() or 1

    def score(self, batch: BatchRun, rows: Inputs, progress: Progress) -> list[Slice]:
        """Decide the rows of all parts."""

        def decided(part: Part) -> list[Slice]:
            scorer = BatchScorer(batch.method, self._bundle)
            return list(batch.scored(scorer, batches(part, rows.columns)))

        found = self._each(decided, rows.parts, progress, lambda part: part.rows)
        return [each for slices in found for each in slices]

    def write(self, batch: BatchRun, spans: Mapping[int, list[Slice]], progress: Progress) -> list[ResultFile]:
        """Write the file of each span."""
        return self._each(lambda one: batch.finished(*one), list(spans.items()), progress, lambda _: 1)

    def _each(
        self, work: Callable[[T], R], items: Sequence[T], progress: Progress, size: Callable[[T], int]
    ) -> list[R]:
        """Return the results in the order of items, of which as many as there are workers are in work at a time."""
        done, whole = 0, sum(map(size, items))
        found: dict[int, R] = {}
        waiting = iter(enumerate(items))
        pool = ThreadPoolExecutor(self._workers)
        try:
            running: dict[Future[R], tuple[int, T]] = {}
            while True:
                for index, item in islice(waiting, self._workers - len(running)):
                    running[pool.submit(work, item)] = (index, item)
                if not running:
                    return [found[index] for index in range(len(items))]
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index, item = running.pop(future)
                    found[index] = future.result()
                    done += size(item)
                    progress(done, whole, "")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Result(NamedTuple):
    """The files of decisions of a batch, and their rows by decision."""

    files: list[ResultFile]
    decisions: dict[str, int]

    @property
    def rows(self) -> int:
        """The number of decisions."""
        return sum(self.decisions.values())


def decide_all(engine: Engine, batch: BatchRun, rows: Inputs, step: Step) -> Result:
    """Decide the rows, and write the files of all spans, without a manifest. Raises Misconfigured, Unavailable."""
    with step("score") as progress:
        slices = engine.score(batch, rows, progress)
    with step("write") as progress:
        files = engine.write(batch, by_span(slices), progress)
    return Result(files, total(files))


def manifest(batch: BatchRun, version: str, result: Result, others: Sequence[ResultFile]) -> ResultManifest:
    """Return the manifest of a batch."""
    method = batch.method
    rules = hashlib.sha256(msgspec.json.encode(list(method.rules))).hexdigest()
    period = (method.since, method.until, batch.span_hours)
    files = sorted([*result.files, *others], key=lambda file: file.name)
    return ResultManifest(version, method.explained, rules, *period, result.rows, result.decisions, files)
