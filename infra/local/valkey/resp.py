"""RESP, the protocol of Redis and Valkey: commands as clients send them, replies as they want them.

Source: https://valkey.io/topics/protocol/
"""

from __future__ import annotations

from asyncio import StreamReader

LARGEST_ARGUMENT = 512 * 1024 * 1024


class Simple(str):
    """A status, such as OK."""

    __slots__ = ()


class Failure(Exception):
    """An error reply; its text begins with a code, such as ERR."""


class NotRespError(Exception):
    """Bytes that are no command; the connection cannot go on."""


Reply = None | int | bytes | Simple | list["Reply"] | dict[str, "Reply"] | Failure


async def read_command(reader: StreamReader) -> list[bytes]:
    """Return the next command and its arguments. Raises NotRespError, IncompleteReadError at the end."""
    count = await _read_length(reader, b"*")
    return [await _read_bulk(reader) for _ in range(count)]


def encode(reply: Reply, protocol: int) -> bytes:
    """Return the bytes of a reply in RESP 2 or 3.

    >>> encode([1, b"a", None], 2)
    b'*3\\r\\n:1\\r\\n$1\\r\\na\\r\\n$-1\\r\\n'
    """
    parts: list[bytes] = []
    _encode(reply, protocol, parts)
    return b"".join(parts)


def _encode(reply: Reply, protocol: int, parts: list[bytes]) -> None:
    if isinstance(reply, bytes):
        parts += (b"$%d\r\n" % len(reply), reply, b"\r\n")
    elif isinstance(reply, list):
        parts.append(b"*%d\r\n" % len(reply))
        for each in reply:
            _encode(each, protocol, parts)
    elif isinstance(reply, dict):
        parts.append(b"%%%d\r\n" % len(reply) if protocol == 3 else b"*%d\r\n" % (2 * len(reply)))
        for key, value in reply.items():
            _encode(key.encode(), protocol, parts)
            _encode(value, protocol, parts)
    else:
        parts.append(_line(reply, protocol))


def _line(reply: int | Simple | Failure | None, protocol: int) -> bytes:
    if reply is None:
        return b"_\r\n" if protocol == 3 else b"$-1\r\n"
    mark = {int: ":", Simple: "+"}.get(type(reply), "-")
    return f"{mark}{reply}\r\n".encode()


async def _read_bulk(reader: StreamReader) -> bytes:
    length = await _read_length(reader, b"$")
    return (await reader.readexactly(length + 2))[:-2]


async def _read_length(reader: StreamReader, mark: bytes) -> int:
    line = await reader.readuntil(b"\r\n")
    if line[:1] != mark or not line[1:-2].isdigit() or int(line[1:-2]) > LARGEST_ARGUMENT:
        raise NotRespError(f"expected {mark.decode()} and a length")
    return int(line[1:-2])
