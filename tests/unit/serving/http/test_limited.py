"""Limits of requests and offers of upgrades, over a real server and real connections."""

from http import HTTPStatus

import pytest

from shared.contract.decoding import MAX_BYTES
from shared.serving.http.limits import DEFAULT, RequestLimits, answer, refusal
from shared.serving.http.problems import TOO_LARGE as PROBLEM
from shared.serving.http.problems import problem
from tests.unit.serving.http.test_push import Receiver, post, talk

UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n%s\r\n"
SMALL = RequestLimits(body_bytes=1_000, header_bytes=1_000)
HASTY = RequestLimits(seconds=0.05)
TOO_LARGE, TOO_MANY_HEADERS, LATE = (refusal(HTTPStatus(status)) for status in (413, 431, 408))


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def test_an_upgrade_is_ignored_and_the_body_delivered() -> None:
    receiver = Receiver()
    received, closed = talk(receiver, post(b"a", UPGRADE), post(b"b"), answers=2)
    assert (received, closed) == (answer(204, True) * 2, False)
    assert receiver.bodies == [b"a", b"b"]


def test_a_body_in_chunks_after_an_upgrade_is_delivered() -> None:
    receiver = Receiver()
    talk(receiver, CHUNKED % UPGRADE, chunks(b"ab", b"c") + chunks(b""), answers=1)
    assert receiver.bodies == [b"abc"]


def test_a_request_with_an_upgrade_may_come_in_any_pieces() -> None:
    request = post(b"a", UPGRADE)
    for at in range(1, len(request), 7):
        receiver = Receiver()
        received, _ = talk(receiver, request[:at], request[at:], answers=1)
        assert (received, receiver.bodies) == (answer(204, True), [b"a"])


def test_pipelined_requests_with_upgrades_are_all_read() -> None:
    receiver = Receiver()
    received, _ = talk(receiver, post(b"slow", UPGRADE) + post(b"b", UPGRADE) + post(b"c"), answers=3)
    assert received.startswith(answer(204, True))
    assert receiver.bodies == [b"slow"]
    assert [body for *_, body in receiver.by_asgi] == [b"b", b"c"]


def test_other_headers_outlive_the_upgrade() -> None:
    receiver = Receiver()
    close = UPGRADE.replace(b"Upgrade,", b"close, Upgrade,") + b"traceparent: t\r\n"
    assert talk(receiver, post(b"a", close), answers=1) == (answer(204, False), True)
    assert (b"traceparent", b"t") in receiver.headers


def test_a_websocket_and_a_tunnel_are_not_offered() -> None:
    receiver = Receiver()
    hello = b"GET /warm HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    assert b"200 OK" in talk(receiver, hello, answers=1)[0]
    assert receiver.by_asgi == [("GET", "/warm", None, b"")]
    tunnel = b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n"
    assert talk(receiver, tunnel, answers=1) == (refusal(HTTPStatus.NOT_IMPLEMENTED), True)


@pytest.mark.parametrize(
    "pieces",
    [
        [post(b"x" * 1_001)],
        [post(b"x" * 10_000)[:100]],
        [post(b"x" * 10_000, b"expect: 100-continue\r\n")[:100]],
        [CHUNKED % b"", chunks(b"x" * 600), chunks(b"x" * 600)],
        [CHUNKED % UPGRADE, chunks(b"x" * 1_001)],
        [CHUNKED % b"" + chunks(b"x" * 900) + b"0\r\n", b"a: b\r\n" * 1_400],
    ],
    ids=["whole", "declared", "expecting", "chunked", "upgrading", "trailers"],
)
def test_a_large_body_is_refused_and_the_rest_dropped(pieces: list[bytes]) -> None:
    receiver = Receiver()
    assert talk(receiver, *pieces, b"x" * 100_000, answers=1, limits=SMALL) == (TOO_LARGE, True)
    assert (receiver.bodies, receiver.by_asgi) == ([], [])


def test_a_body_of_the_largest_size_is_delivered_in_the_smallest_chunks() -> None:
    receiver = Receiver()
    body = chunks(*[b"x"] * SMALL.body_bytes, b"")
    talk(receiver, CHUNKED % b"", body[:2_000], body[2_000:], answers=1, limits=SMALL)
    assert receiver.bodies == [b"x" * SMALL.body_bytes]


@pytest.mark.parametrize("cut", [200, 1_500, None])
def test_large_headers_are_refused(cut: int | None) -> None:
    receiver = Receiver()
    request = post(b"a", b"x-a: " + b"y" * 1_000 + b"\r\n")
    pieces = [request] if cut is None else [request[:cut], request[cut:], b"z" * 2_000]
    assert talk(receiver, *pieces, answers=1, limits=SMALL) == (TOO_MANY_HEADERS, True)
    assert receiver.bodies == []


def test_one_endless_header_is_refused() -> None:
    pieces = [b"POST / HTTP/1.1\r\nx-a: y", b"y" * 999, b"y"]
    assert talk(Receiver(), *pieces, b"y" * 500, answers=1, limits=SMALL) == (TOO_MANY_HEADERS, True)


def test_a_refused_request_behind_an_unanswered_one_ends_the_connection() -> None:
    receiver = Receiver()
    assert talk(receiver, post(b"slow") + post(b"x" * 1_001), answers=0, limits=SMALL) == (b"", True)
    assert receiver.by_asgi == []


@pytest.mark.parametrize("request_", [post(b"abc")[:-1], post(b"abc")[:9], CHUNKED % UPGRADE])
def test_a_request_that_does_not_end_is_answered_late(request_: bytes) -> None:
    receiver = Receiver()
    assert talk(receiver, request_, answers=1, limits=HASTY) == (LATE, True)
    assert receiver.bodies == []


def test_a_silent_connection_is_closed() -> None:
    assert talk(Receiver(), answers=0, limits=HASTY) == (b"", True)


def test_what_is_not_http_is_refused() -> None:
    received, closed = talk(Receiver(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", answers=1)
    assert (received, closed) == (refusal(HTTPStatus.BAD_REQUEST), True)


def test_the_limit_fits_the_largest_message_of_the_contract() -> None:
    assert DEFAULT.body_bytes > MAX_BYTES * 4 / 3 + 32_768
    head, _, body = TOO_LARGE.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert {b"connection: close", b"content-length: %d" % len(body)} <= {*head.split(b"\r\n")}
    assert b"content-type: application/problem+json" in head
    assert problem(PROBLEM, PROBLEM.name).body == body, "as where the message is read"
