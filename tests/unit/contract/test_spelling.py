"""One account or key has one pseudonym, however it was spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.fields import KeyType
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.spelling import account_spelling, branch_spelling, key_spelling
from shared.contract.transaction import decode_transaction
from shared.operations.erasure import person_of
from tests.builders import encoded, transaction

PSEUDONYMISER = Pseudonymiser(b"a secret for tests, 32 bytes long")

branches = st.none() | st.from_regex("^[0-9A-Za-z]{1,6}$", fullmatch=True)
accounts = st.from_regex("^[0-9A-Za-z-]{1,20}$", fullmatch=True)
kinds = st.none() | st.sampled_from(KeyType)
keys = st.text(min_size=1, max_size=77) | st.from_regex(r"[+0-9 ().\-/]{1,20}", fullmatch=True)
phones = st.from_regex("[1-9][1-9]9[0-9]{8}", fullmatch=True)


def payee_of(**changes: object) -> tuple[str, str | None]:
    """Return the pseudonyms of a payee's account and key."""
    message = transaction(**{f"payee__{name}": value for name, value in changes.items()})
    event = event_of(decode_transaction(encoded(message)).value, PSEUDONYMISER)
    return event.payee_id, event.payee_key_id


@given(branches, accounts)
def test_a_spelling_of_branch_and_account_is_its_own_spelling(branch: str | None, account: str) -> None:
    assert branch_spelling(branch_spelling(branch)) == branch_spelling(branch)
    assert account_spelling(account_spelling(account)) == account_spelling(account)


@given(keys, kinds)
def test_a_spelling_of_a_key_is_its_own_spelling(key: str, kind: KeyType | None) -> None:
    assert key_spelling(key_spelling(key, kind), kind) == key_spelling(key, kind)


@pytest.mark.parametrize(
    ("branch", "account"),
    [
        ("0001", "0007654321"),
        ("1", "7654321"),
        (None, "7654321"),
        ("0000", "7654321"),
        ("0001", "765432-1"),
    ],
)
def test_spellings_of_one_account_are_one_account(branch: str | None, account: str) -> None:
    assert payee_of(branch=branch, account=account) == payee_of(branch="0001", account="7654321")


def test_the_spelling_of_the_spi_keeps_the_pseudonym_it_always_had() -> None:
    assert payee_of()[0] == PSEUDONYMISER.pseudonym(b"account", "87654321\x000001\x007654321")
    assert payee_of()[1] == PSEUDONYMISER.pseudonym(b"key", "+5511999999999")


@pytest.mark.parametrize(
    "changes", [{"branch": "0002"}, {"branch": "10"}, {"account": "76543210"}, {"ispb": "87654322"}]
)
def test_another_branch_account_or_institution_is_another_account(changes: dict[str, object]) -> None:
    assert payee_of(**changes)[0] != payee_of()[0]


@given(accounts, st.integers(0, 6), st.integers(0, 20))
def test_zeros_in_front_and_hyphens_make_no_other_account(account: str, zeros: int, at: int) -> None:
    spelled = "0" * zeros + account[:at] + "-" + account[at:].lower()
    assert account_spelling(spelled) == account_spelling(account)


@pytest.mark.parametrize(
    ("key", "kind", "expected"),
    [
        ("Ana.Silva@Example.COM ", None, "ana.silva@example.com"),
        ("123E4567-E89B-12D3-A456-426655440000", None, "123e4567-e89b-12d3-a456-426655440000"),
        ("123E4567E89B12D3A456426655440000", KeyType.EVP, "123e4567-e89b-12d3-a456-426655440000"),
        ("11999999999", KeyType.PHONE, "+5511999999999"),
        ("011 99999-9999", KeyType.PHONE, "+5511999999999"),
        ("+55 (11) 99999-9999", None, "+5511999999999"),
        ("5511999999999", None, "+5511999999999"),
        ("1133334444", None, "+551133334444"),
        ("+351912345678", KeyType.PHONE, "+351912345678"),
        ("123.456.789-09", KeyType.CPF, "12345678909"),
        ("12345678909", None, "12345678909"),
        ("12345678909", KeyType.PHONE, "+5512345678909"),
        ("12.abc.345/01de-35", KeyType.CNPJ, "12ABC34501DE35"),
        ("11222333000181", None, "11222333000181"),
    ],
)
def test_a_key_has_the_spelling_of_dict(key: str, kind: KeyType | None, expected: str) -> None:
    assert key_spelling(key, kind) == expected


@given(phones)
def test_spellings_of_a_phone_are_one_key(number: str) -> None:
    area, local = number[:2], number[2:]
    spelled = [f"+55{number}", f"55{number}", f"({area}) {local[:5]}-{local[5:]}", f"0{number}"]
    assert {key_spelling(each, KeyType.PHONE) for each in spelled} == {f"+55{number}"}


@pytest.mark.parametrize(
    ("published", "given_for_erasure"),
    [
        ({"key": "Ana@Example.com", "key_type": "EMAIL"}, "ANA@example.com"),
        ({"key": "11999999999", "key_type": "PHONE"}, "+55 11 99999-9999"),
        ({"key": "+5511999999999", "key_type": "PHONE"}, "(11) 99999-9999"),
        ({"key": "123E4567-E89B-12D3-A456-426655440000", "key_type": "EVP"}, "123e4567-e89b-12d3-a456-426655440000"),
        ({"key": "12345678909", "key_type": "CPF"}, None),
    ],
)
def test_erasure_finds_a_key_in_any_spelling(published: dict[str, object], given_for_erasure: str | None) -> None:
    person = person_of("12345678909", [given_for_erasure] if given_for_erasure else [], PSEUDONYMISER)
    assert payee_of(**published)[1] in person.keys
