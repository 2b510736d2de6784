"""Requests that a client may send to a function's process: read whole, or refused before they take memory."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.local.cloud import LocalCloud
from tests.builders import encoded, push_body, transaction
from tests.functions.instance import Instance, Start
from tests.functions.test_score import scores
from tests.waiting import PATIENCE

UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
MEBIBYTE = 1 << 20


def talk(instance: Instance, *parts: bytes) -> bytes:
    """Send parts over one connection, and return all answers until the server closes it."""
    where = urlsplit(instance.address)
    with socket.create_connection((where.hostname, where.port), timeout=PATIENCE) as connection:
        sender = threading.Thread(target=_send, args=(connection, parts))
        sender.start()
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
        sender.join()
    return received


def _send(connection: socket.socket, parts: tuple[bytes, ...]) -> None:
    try:
        for part in parts:
            connection.sendall(part)
    except OSError:  # refused, and closed
        pass


def post(body: bytes, headers: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), headers, body)


def chunked(body: bytes, headers: bytes = b"") -> bytes:
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%s\r\n%s" % (headers, framed)


def statuses(received: bytes) -> list[int]:
    return [int(line.split()[1]) for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def most_memory(instance: Instance) -> int:
    """Return the most bytes that the processes of an instance have had in memory."""
    main = Path(f"/proc/{instance.process.pid}")
    workers = (main / f"task/{main.name}/children").read_text().split()
    return sum(_peak(process) for process in (main, *map(main.with_name, workers)))


def _peak(process: Path) -> int:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_a_pix_in_a_request_that_offers_http_2_is_stored(cloud: LocalCloud, started: Start) -> None:
    messages = [transaction() for _ in range(5)]
    one, two, *more = [push_body(encoded(message)) for message in messages]
    instance = started()
    assert statuses(talk(instance, post(one, UPGRADE))) == [204]
    assert statuses(talk(instance, chunked(two, UPGRADE))) == [204]
    assert statuses(talk(instance, b"".join(post(each, UPGRADE) for each in more))) == [204] * len(more)
    assert len(scores(cloud, messages)) == len(messages)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_a_pix_that_curl_sends_by_http_2_is_stored(cloud: LocalCloud, started: Start) -> None:
    message = transaction()
    command = ["curl", "--silent", "--http2", "--data-binary", "@-", "--write-out", "%{http_code}"]
    body = push_body(encoded(message))
    done = subprocess.run([*command, started().address], input=body, stdout=subprocess.PIPE, timeout=PATIENCE)
    assert done.stdout == b"204"
    assert len(scores(cloud, [message])) == 1


def test_large_messages_are_refused_before_they_take_memory(started: Start) -> None:
    instance = started()
    before = most_memory(instance)
    message = post(push_body(b"x" * 7_100_000))
    with ThreadPoolExecutor(40) as pool:
        answers = [statuses(each) for each in pool.map(lambda _: talk(instance, message), range(40))]
    assert answers == [[413]] * 40
    endless = b"100000\r\n" + b"x" * MEBIBYTE + b"\r\n"
    assert statuses(talk(instance, chunked(b"x").removesuffix(b"0\r\n\r\n"), *[endless] * 400)) == [413]
    assert most_memory(instance) - before < 100 * MEBIBYTE
    assert instance.logged("request refused")


def test_requests_that_are_not_finished_are_refused(started: Start) -> None:
    instance = started()
    assert statuses(talk(instance, post(b"{}", b"X-A: " + b"a" * 40_000 + b"\r\n"))) == [431]
    assert statuses(talk(instance, post(b"{}")[:-1])) == [408]
    assert talk(instance) == b""
