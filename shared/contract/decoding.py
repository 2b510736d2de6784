"""Decode JSON into a contract type: unknown fields are dropped and counted, any other fault is Malformed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from shared.errors import Malformed

T = TypeVar("T")

MAX_BYTES = 64 * 1024  # a Pix with every field takes about 1.5 kB
_MISSING = re.compile(r"missing required field `([a-z_0-9]+)`")
_UNKNOWN = re.compile(r"contains unknown field")
_PATH = re.compile(r" - at `\$\.?((?:\.?[a-z_0-9]+|\[(?:\d+|\.{3})\])+)`$")  # [0] is an index, [...] any key


class Decoded(NamedTuple, Generic[T]):
    """A decoded message and the number of unknown fields that were dropped from it."""

    value: T
    unknown_fields: int


class TolerantDecoder(Generic[T]):
    """Decode bytes into `kind`.

    The strict decoder runs first. Only a message with unknown fields takes the slow path, which counts and removes
    them, so the common case costs nothing extra.
    """

    def __init__(self, kind: Any, check: Callable[[T], None]) -> None:
        self.kind = kind
        self._check = check
        self._strict = msgspec.json.Decoder(kind)

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
        try:
            return Decoded(self._strict.decode(data), 0)
        except msgspec.ValidationError as error:
            if not _UNKNOWN.search(str(error)):
                raise
        raw = msgspec.json.decode(data)
        dropped = _drop_unknown(raw, msgspec.inspect.type_info(self.kind))
        return Decoded(msgspec.convert(raw, self.kind), dropped)


def _drop_unknown(raw: Any, kind: msgspec.inspect.Type) -> int:
    """Remove from `raw`, in place, the fields unknown to `kind`; return their number."""
    if not isinstance(raw, dict):
        return 0
    struct = _struct_for(raw, kind)
    if struct is None:
        return 0
    known = {field.encode_name: field.type for field in struct.fields}
    if isinstance(struct.tag_field, str):
        known[struct.tag_field] = msgspec.inspect.StrType()
    unknown = [name for name in raw if name not in known]
    for name in unknown:
        del raw[name]
    return len(unknown) + sum(_drop_unknown(value, known[name]) for name, value in raw.items())


def _struct_for(raw: dict[str, Any], kind: msgspec.inspect.Type) -> msgspec.inspect.StructType | None:
    """Return the struct to decode `raw` into, following optional fields and tagged unions."""
    if isinstance(kind, msgspec.inspect.StructType):
        return kind
    if isinstance(kind, msgspec.inspect.UnionType):
        structs = [t for t in kind.types if isinstance(t, msgspec.inspect.StructType)]
        for struct in structs:
            if struct.tag_field is None or raw.get(struct.tag_field) == struct.tag:
                return struct
    return None


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
