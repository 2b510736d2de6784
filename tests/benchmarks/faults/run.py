"""One run: publish beside the faults, wait until all is through, and ask what came of it."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from google.cloud.pubsub_v1 import PublisherClient

from infra.local.cloud import LocalCloud
from infra.local.loopback import free_port
from shared.settings import Settings
from tests.benchmarks.faults.models import broken, bundles
from tests.benchmarks.faults.questions import Deadline, Findings, Questions, Run
from tests.benchmarks.faults.relay import Relay
from tests.benchmarks.faults.script import Scale, Script, Tell
from tests.benchmarks.faults.stream import Message, Stream, stream
from tests.benchmarks.faults.watch import Watch

AT_ONCE, FEW = 200, 10
"""Messages that are published together, at most; of a short stream, a hundredth and a four hundredth."""
AHEAD = 4_000
"""Transactions that may be published and not yet stored."""
SECONDS = 300.0
"""For which the stream would last, were all of it published while faults are due; some is left for each."""
QUIET, PATIENCE = 70.0, 300.0


def run(transactions: int, seed: int, scale: Scale, home: Path, tell: Tell) -> Findings:
    """Return what came of a run. Raises Broken, LocalCloudError."""
    tell(f"preparing {transactions:,} transactions and {scale.swaps + 1} models")
    sent = stream(transactions, seed)
    good = bundles(sent.messages, scale.swaps + 1)
    bad = broken(good["v01"])
    tell(
        f"{len(sent.messages):,} messages: {sent.twice:,} Pix twice, {sent.late:,} late, {len(sent.spoilt):,} spoilt"
    )
    deadline = Deadline.at(sent.middle)
    with LocalCloud(
        home,
        pubsub="embedded",
        on_step=lambda step: tell(f"starting {step}"),
        pointer_ttl_seconds=0.5,
        deadline_seconds=deadline.seconds,
        state_call_seconds=Settings("").state_call_seconds,
        maturity_days=2.0,
    ) as cloud:
        port = free_port()
        watch = Watch(Questions(cloud).shown)
        with Relay(cloud.settings.bigquery_storage_emulator_host, port) as relay:
            questions = Questions(cloud)
            script = Script(cloud, relay, good, bad, scale, tell, watch.look)
            script.begin()
            cloud.start_functions(bigquery_storage_emulator_host=f"127.0.0.1:{port}")
            with watch:
                Traffic(cloud.settings.project, sent, questions, tell).beside(script)
                _drain(questions, sent, script, tell)
            tell("asking BigQuery, and replaying")
            watch.look()
            return questions.findings(Run(sent, script.report, watch, deadline, good, len(bad)))


class Traffic:
    """Publishes the stream in a thread, not far ahead of what is stored, and slowly while a fault is due."""

    def __init__(self, project: str, sent: Stream, questions: Questions, tell: Tell) -> None:
        self._project = project
        self._messages = sent.messages
        self._live = sent.live
        self._questions = questions
        self._tell = tell
        self._wanted = _rows_wanted(sent.messages)
        self._at_once = min(AT_ONCE, len(sent.messages) // 100)
        self._few = min(FEW, len(sent.messages) // 400)
        self._published = 0
        self._due = 0.0
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def beside(self, script: Script) -> None:
        """Publish all, and make each fault when it is due. Raises what went wrong."""
        self._thread.start()
        try:
            for step in script.steps():
                self._due = step.share
                while self._share() < step.share and self._published < len(self._messages) and not self._error:
                    time.sleep(0.05)
                if self._error:
                    break
                step.run()
        finally:
            self._due = math.inf
            self._thread.join()
        if self._error:
            raise self._error

    def _share(self) -> float:
        """Return how much of the Pix is published; what models are swapped beside are these, not the last reports."""
        return self._published / self._live

    def _run(self) -> None:
        client = PublisherClient()
        try:
            while self._published < len(self._messages):
                count = self._room()
                self._publish(client, self._messages[self._published : self._published + count])
        except BaseException as error:  # noqa: BLE001 (the thread that waits for it raises it)
            self._error = error
        finally:
            client.stop()

    def _publish(self, client: PublisherClient, messages: list[Message]) -> None:
        sent: list[Future[str]] = [
            client.publish(client.topic_path(self._project, message.topic), message.data) for message in messages
        ]
        for future in sent:
            future.result(timeout=120)
        before = int(10 * self._share())
        self._published += len(messages)
        if before != int(10 * self._share()):
            self._tell(f"{100 * self._share():.0f} % of the Pix published")

    def _room(self) -> int:
        """Return how many to publish now: few at a time while a fault is due, so that some are left for the next."""
        wanted = self._wanted[self._published]
        while wanted > AHEAD and wanted - sum(self._questions.progress()) > AHEAD:
            time.sleep(0.5)
        if self._share() <= self._due:
            return self._at_once
        time.sleep(self._few / len(self._messages) * SECONDS)
        return self._few


def _rows_wanted(messages: list[Message]) -> list[int]:
    """Return how many rows have to come of the first n messages, for each n; what is published twice counts once."""
    seen: set[Message] = set()
    wanted = [0]
    for message in messages:
        seen.add(message)
        wanted.append(len(seen))
    return wanted


def _drain(questions: Questions, sent: Stream, script: Script, tell: Tell) -> None:
    """Wait until every message has its row; where nothing comes any more, redrive what has died. Raises Broken."""
    wanted = (len(sent.ids), sent.reports, len(sent.spoilt))
    seen, came, changed = (0, 0, 0), time.monotonic(), time.monotonic()
    while (found := questions.progress()) != wanted:
        if found != seen:
            seen, came, changed = found, time.monotonic(), time.monotonic()
        if time.monotonic() > came + PATIENCE:
            tell("given up on what is missing")
            return
        if time.monotonic() > changed + QUIET:
            tell(f"nothing came for {QUIET:g} s: {found} of {wanted} transactions, reports and unreadable messages")
            script.redrive()
            changed = time.monotonic()
        time.sleep(0.5)
    tell("every message has its row")
