"""Which client a token belongs to, and that none of it is ever shown."""

import hmac

import pytest

from engine.errors import UsageError
from transports.rpc.security.tokens import Tokens, parse_tokens

TOKENS = Tokens(["first-secret", "second-secret"], operators=["boss-secret"])


def bearer(value):
    return [("user-agent", "x"), ("authorization", value)]


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("Bearer first-secret", "client-1"),
        ("Bearer second-secret", "client-2"),
        ("bearer second-secret", "client-2"),
        ("Bearer   first-secret ", "client-1"),
        ("Bearer boss-secret", "operator-1"),
        ("Bearer third-secret", None),
        ("Bearer First-Secret", None),
        ("Bearer first-secre", None),
        ("Bearer ", None),
        ("Bearer", None),
        ("Basic first-secret", None),
        ("first-secret", None),
        ("", None),
        ("Bearer " + "x" * 10_000, None),
    ],
)
def test_a_token_is_its_clients(value, client):
    assert TOKENS.client_of(bearer(value)) == client


def test_a_call_without_a_token_or_with_two_is_nobodys():
    assert TOKENS.client_of([]) is None
    assert (
        TOKENS.client_of([*bearer("Bearer first-secret"), *bearer("Bearer first-secret")]) is None
    )
    assert TOKENS.client_of([("authorization", b"Bearer first-secret")]) is None


def test_all_tokens_are_compared_whichever_it_is(monkeypatch):
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: (compared.append(b), real(a, b))[1])
    counts = set()
    for value in ("Bearer first-secret", "Bearer boss-secret", "Bearer wrong", "Basic wrong"):
        compared.clear()
        TOKENS.client_of(bearer(value))
        counts.add(len(compared))
    assert counts == {3}


def test_nothing_of_a_token_is_kept():
    assert "secret" not in f"{vars(TOKENS)} {TOKENS!r}"


@pytest.mark.parametrize("token", ["", "two words", "café", "line\nbreak"])
def test_a_token_that_no_header_holds_is_refused_without_being_shown(token):
    with pytest.raises(UsageError, match="token 2 of a client") as caught:
        Tokens(["good", token])
    assert token == "" or token not in str(caught.value)


def test_there_must_be_one():
    with pytest.raises(UsageError, match="there is no token"):
        Tokens([])


def test_lists_are_read_with_their_spaces_and_empty_places():
    assert parse_tokens(" a, b ,,c,") == ["a", "b", "c"]
    assert parse_tokens(" , ") == []
