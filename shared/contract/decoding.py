"""Decode JSON into a contract type: unknown fields are dropped and counted, any other fault is Malformed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from shared.errors import Malformed

T = TypeVar("T")

MAX_BYTES = 64 * 1024  # a Pix with every field takes about 1.5 kB
_MISSING = re.compile(r"missing required field `([a-z_0-9]+)`")
_UNKNOWN = re.compile(r"contains unknown field")
_PATH = re.compile(r" - at `\$\.?((?:\.?[a-z_0-9]+|\[(?:\d+|\.{3})\])+)`$")  # [0] is an index, [...] any key


class Decoded(Struct, Generic[T], frozen=True, gc=False):
    """A decoded message and the number of unknown fields that were dropped from it."""

    value: T
    unknown_fields: int


_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_EXPECTED = 256  # messages after one with unknown fields in which more are expected: a publisher sends them in each


class TolerantDecoder(Generic[T]):
    """Decode bytes into `kind`.

    The strict decoder runs first, so that the common case costs nothing extra; or before it a `quick` one, which
    returns None or raises where the strict one is to find the reason. A message with unknown fields is read as plain
    JSON, its unknown fields are counted and removed, and the rest is converted. For some messages after such a one,
    that path runs first, because a strict decoder that fails costs as much as one that succeeds. If it finds a fault,
    the strict decoder runs after all, so that a reason does not depend on the messages before.
    """

    def __init__(
        self, kind: Any, check: Callable[[T], None], quick: Callable[[bytes], T | None] = lambda _: None
    ) -> None:
        self.kind = kind
        self._check = check
        self._quick = quick
        self._strict = msgspec.json.Decoder(kind).decode
        self._plain = msgspec.json.Decoder().decode
        self._drop_unknown = _dropper(msgspec.inspect.type_info(kind))
        self._expected = 0

    def __call__(self, data: bytes) -> Decoded[T]:
        """Return the message and its number of unknown fields.

        Raises Malformed with one of `too_large`, `not_utf8`, `not_json`, `too_deep`, `missing_field`,
        `wrong_type` or `invalid_value`.
        """
        if len(data) > MAX_BYTES:
            raise Malformed("too_large")
        try:
            decoded: Decoded[T] = self._decode(data)
        except msgspec.ValidationError as error:
            raise _malformed(str(error)) from None
        except UnicodeDecodeError:
            raise Malformed("not_utf8") from None
        except msgspec.DecodeError:
            raise Malformed("not_json" if _is_utf8(data) else "not_utf8") from None
        except RecursionError:
            raise Malformed("too_deep") from None
        self._check(decoded.value)
        return decoded

    def _decode(self, data: bytes) -> Decoded[T]:
        if self._expected:
            self._expected -= 1
            try:
                return self._tolerate(data)
            except _FAULTS:
                self._expected = 0
        else:
            try:
                if (value := self._quick(data)) is not None:
                    return Decoded(value, 0)
            except _FAULTS:
                pass
        try:
            return Decoded(self._strict(data), 0)
        except msgspec.ValidationError as error:
            if not _UNKNOWN.search(str(error)):
                raise
        return self._tolerate(data)

    def _tolerate(self, data: bytes) -> Decoded[T]:
        raw = self._plain(data)
        dropped = self._drop_unknown(raw)
        if dropped:
            self._expected = _EXPECTED
        return Decoded(msgspec.convert(raw, self.kind), dropped)


Dropper = Callable[[Any], int]
"""Remove the unknown fields of a JSON value, in place, and return their number."""


def _dropper(kind: msgspec.inspect.Type) -> Dropper:
    """Return the dropper of a type: inspecting a type takes milliseconds, so it happens once."""
    if isinstance(kind, msgspec.inspect.StructType):
        return _struct_dropper(kind)
    if isinstance(kind, msgspec.inspect.Metadata):
        return _dropper(kind.type)
    if isinstance(kind, msgspec.inspect.ListType):
        return _list_dropper(_dropper(kind.item_type))
    if not isinstance(kind, msgspec.inspect.UnionType):
        return _keep
    structs = [each for each in kind.types if isinstance(each, msgspec.inspect.StructType)]
    if len(structs) > 1:
        return _union_dropper(structs)
    return _struct_dropper(structs[0]) if structs else _keep


def _keep(_: Any) -> int:
    return 0


def _list_dropper(drop: Dropper) -> Dropper:
    if drop is _keep:
        return _keep
    return lambda raw: sum(map(drop, raw)) if isinstance(raw, list) else 0


def _struct_dropper(kind: msgspec.inspect.StructType) -> Dropper:
    droppers = {field.encode_name: _dropper(field.type) for field in kind.fields}
    nested = [(name, drop) for name, drop in droppers.items() if drop is not _keep]
    known = frozenset(droppers) | ({kind.tag_field} if kind.tag_field else set())

    def drop(raw: Any) -> int:
        if not isinstance(raw, dict):
            return 0
        dropped = 0
        if not raw.keys() <= known:
            unknown = raw.keys() - known
            for name in unknown:
                del raw[name]
            dropped = len(unknown)
        for name, drop_nested in nested:
            if name in raw:
                dropped += drop_nested(raw[name])
        return dropped

    return drop


def _union_dropper(kinds: Sequence[msgspec.inspect.StructType]) -> Dropper:
    field = kinds[0].tag_field
    droppers = {kind.tag: _struct_dropper(kind) for kind in kinds}

    def drop(raw: Any) -> int:
        tag = raw.get(field) if isinstance(raw, dict) else None
        return droppers[tag](raw) if isinstance(tag, str) and tag in droppers else 0

    return drop


def _malformed(message: str) -> Malformed:
    """Translate msgspec's message into a reason and a path, without any value of the message."""
    found = _PATH.search(message)
    path = found.group(1) if found else None
    missing = _MISSING.search(message)
    if missing:
        name = missing.group(1)
        return Malformed("missing_field", f"{path}.{name}" if path else name)
    return Malformed(
        "wrong_type" if message.startswith("Expected `") and ", got" in message else "invalid_value", path
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
