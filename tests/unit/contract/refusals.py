"""The reason for which a decoder refuses a message."""

from collections.abc import Callable

import pytest

from shared.contract.transaction import decode_transaction
from shared.errors import Malformed


def reason(data: bytes, decode: Callable[[bytes], object] = decode_transaction) -> tuple[str, str | None]:
    with pytest.raises(Malformed) as error:
        decode(data)
    return error.value.reason, error.value.field
