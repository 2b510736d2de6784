"""The default time limits, taken together."""

from infra.local.provision import ACK_DEADLINE_SECONDS
from shared.adapters.valkey.patience import LONGEST_CALL
from shared.settings import Settings

DEFAULT = Settings("project")
STATE = 2 * (DEFAULT.state_connect_seconds + LONGEST_CALL * DEFAULT.state_call_seconds)
APPEND = 2 * DEFAULT.append_timeout_seconds


def test_all_delays_of_a_pix_fit_the_ack_deadline() -> None:
    assert DEFAULT.queue_seconds + STATE + APPEND < ACK_DEADLINE_SECONDS


def test_all_delays_of_a_report_fit_the_ack_deadline() -> None:
    assert DEFAULT.queue_seconds + 2 * DEFAULT.lookup_seconds + STATE + APPEND < ACK_DEADLINE_SECONDS
