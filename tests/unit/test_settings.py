"""What settings promise together."""

from infra.local.provision import ACK_DEADLINE_SECONDS
from shared.settings import Settings

DEFAULT = Settings("project")
STATE = 2 * (DEFAULT.state_connect_seconds + DEFAULT.state_call_seconds)
APPEND = 2 * DEFAULT.append_timeout_seconds


def test_a_pix_that_meets_every_delay_is_answered_before_it_is_delivered_again() -> None:
    assert DEFAULT.queue_seconds + STATE + APPEND < ACK_DEADLINE_SECONDS


def test_a_report_that_meets_every_delay_is_answered_before_it_is_delivered_again() -> None:
    assert DEFAULT.queue_seconds + 2 * DEFAULT.lookup_seconds + STATE + APPEND < ACK_DEADLINE_SECONDS
