"""Tasks of a stream hand messages to an intake, and settle them; Kafka's columns, headers and missing jar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pytest

from jobs.cli.streaming import StreamOrder, stream
from shared.adapters.spark import feed
from shared.adapters.spark.kafka import KafkaLetters, KafkaStream, headed, messages
from shared.adapters.spark.stream import run_stream
from shared.errors import Misconfigured
from shared.serving.insisting import ONCE, Retries
from shared.settings import Settings
from shared.telemetry import logs
from tests.builders import encoded, transaction
from tests.unit.adapters.spark.conftest import needs_spark
from tests.unit.serving.test_intake import IntakeBench

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTINGS = Settings("bank")
QUICK = Retries(attempts=3, shortest=0.0)
MADE: list[IntakeBench] = []


@pytest.fixture(autouse=True)
def _no_intakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda: None)  # that of a worker process
    MADE.clear()
    feed._resident.cache_clear()


def wire(_: Settings) -> Any:
    """Return the intake of a bench, which is kept in MADE."""
    MADE.append(IntakeBench())
    return MADE[-1].intake


def batch(*data: bytes | None, first: int = 0) -> pa.RecordBatch:
    """Return a batch of messages whose ids, receipts and times count from `first`."""
    rows = [
        {
            "data": each,
            "message_id": f"pix-transactions/0/{i}",
            "published_at": 1_795_185_126_000_000 + i,
            "attempt": None,
            "receipt": f"r{i}",
            "key": b"k",
        }
        for i, each in enumerate(data, first)
    ]
    kinds = (pa.binary(), pa.string(), pa.int64(), pa.int32(), pa.string(), pa.binary())
    return pa.RecordBatch.from_pylist(rows, pa.schema(zip(rows[0], kinds, strict=True)))


class Settled(NamedTuple):
    """A settlement that keeps what became of each receipt, and no dead letters."""

    outcomes: dict[str, bool]
    retries: Retries = ONCE

    def settle(self, batch: pa.RecordBatch, errors: Sequence[Exception | None]) -> pa.RecordBatch:
        assert len(MADE[-1].stored) + len(MADE[-1].quarantine.rows) == len(self.outcomes) + errors.count(None)
        self.outcomes.update(zip(batch.column("receipt").to_pylist(), (e is None for e in errors), strict=True))
        return batch.slice(0, 0)


def test_messages_are_settled_once_they_have_their_rows() -> None:
    outcomes: dict[str, bool] = {}
    work = feed.Feed(wire, SETTINGS, Settled(outcomes))
    batches = [batch(encoded(transaction()), b"{"), batch(None, encoded(transaction(amount="0.66")), first=2)]
    letters = list(work(iter(batches)))
    assert [each.num_rows for each in letters] == [0, 0]
    assert outcomes == {"r0": True, "r1": True, "r2": True, "r3": False}
    (bench,) = MADE  # one intake for all batches of a process
    assert len(bench.stored) == 1
    assert {row.columns()["reason"] for row in bench.quarantine.rows} == {"not_json", "no_data"}


def test_a_message_of_kafka_without_a_row_is_a_dead_letter_after_its_attempts() -> None:
    refused = encoded(transaction(amount="0.66"))
    (letters,) = feed.Feed(wire, SETTINGS, KafkaLetters(QUICK))([batch(encoded(transaction()), refused)])
    assert letters.to_pylist() == [{"key": b"k", "data": refused, "message_id": "pix-transactions/0/1"}]
    assert MADE[-1].decoded == 1 + QUICK.attempts


def test_a_message_keeps_its_id_its_time_and_its_attempt() -> None:
    (one,) = feed.received(batch(b"{}"))
    assert (one.message.data, one.message.message_id, one.receipt) == (b"{}", "pix-transactions/0/0", "r0")
    assert one.message.publish_time.timestamp() == 1_795_185_126
    assert one.message.delivery_attempt is None


@needs_spark
def test_records_of_kafka_have_the_ids_of_its_own_worker_and_letters_its_headers(spark: SparkSession) -> None:
    schema = "key binary, value binary, topic string, partition int, offset long, micros long, timestampType int"
    rows = [
        (b"k", b"{}", "pix-transactions", 3, 7, 1_795_185_126_000_001, 0),
        (None, None, "pix-transactions", 0, 8, 0, 0),
        (None, b"", "pix-transactions", 0, 9, 1, -1),
    ]
    records = spark.createDataFrame(rows, schema).selectExpr("*", "timestamp_micros(micros) AS timestamp")
    found = messages(records)
    assert [(each.message_id, each.published_at, each.attempt) for each in found.collect()] == [
        ("pix-transactions/3/7", 1_795_185_126_000_001, None),
        ("pix-transactions/0/8", None, None),
        ("pix-transactions/0/9", None, None),
    ]
    assert [field.name for field in found.schema] == [each.split()[0] for each in feed.MESSAGES.split(", ")]
    (letter, *_) = headed(found).collect()
    assert (bytes(letter.key), bytes(letter.value)) == (b"k", b"{}")
    assert [(each.key, bytes(each.value)) for each in letter.headers] == [("partition", b"3"), ("offset", b"7")]


@needs_spark
def test_without_the_jar_of_kafka_the_job_says_what_to_add(spark: SparkSession, tmp_path: Path) -> None:
    source = KafkaStream({"bootstrap.servers": "127.0.0.1:1"}, "pix-transactions", 100)
    with pytest.raises(Misconfigured, match=r"--packages org\.apache\.spark:spark-sql-kafka-0-10_2\.13:4\."):
        run_stream(spark, source, wire, SETTINGS, str(tmp_path))


def order(tmp_path: Path, **changes: Any) -> StreamOrder:
    return StreamOrder("score", str(tmp_path), "", None, 10, 1, 1, "local[1]")._replace(**changes)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "bank")
    return monkeypatch.setenv


def test_history_in_the_process_is_refused(environment: Callable[[str, str], None], tmp_path: Path) -> None:
    environment("PIX_STATE", "memory://")
    with pytest.raises(Misconfigured, match="PIX_STATE"):
        stream(order(tmp_path))


def test_without_java_the_job_names_the_worker_that_needs_none(
    environment: Callable[[str, str], None], tmp_path: Path
) -> None:
    environment("PIX_STATE", "redis://127.0.0.1:1")
    environment("PATH", str(tmp_path))
    environment("JAVA_HOME", str(tmp_path))
    with pytest.raises(Misconfigured, match=r"Java 17.*functions\.score\.pull"):
        stream(order(tmp_path))
