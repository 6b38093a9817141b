"""Rates and counts, on a clock that the test sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from transports.rpc.security.quotas import Account, Bucket, Quotas


def test_a_second_of_the_rate_may_come_at_once():
    bucket = Bucket(10, now_s=0)
    for _ in range(10):
        assert bucket.wait_s(0) == 0
        bucket.take(1, 0)
    assert bucket.wait_s(0) == pytest.approx(0, abs=0.01)
    assert bucket.wait_s(0) > 0
    assert bucket.wait_s(0.2) == 0


def test_what_is_larger_than_the_bucket_is_taken_on_credit():
    bucket = Bucket(10, now_s=0)
    bucket.take(110, 0)
    assert bucket.wait_s(0) == pytest.approx(10, rel=0.01)
    assert bucket.wait_s(9.9) > 0
    assert bucket.wait_s(10.1) == 0


def test_a_slow_rate_lets_one_in():
    bucket = Bucket(0.5, now_s=0)
    assert bucket.wait_s(0) == 0
    bucket.take(1, 0)
    assert bucket.wait_s(0) == pytest.approx(0, abs=0.01)
    bucket.take(1, 0)
    assert bucket.wait_s(0) == pytest.approx(2, rel=0.01)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 50)), max_size=50),
    st.floats(0.1, 100),
)
def test_over_any_time_the_rate_holds(steps, rate):
    bucket, now_s, taken, largest = Bucket(rate, now_s=0), 0.0, 0.0, 0.0
    for pause_s, amount in steps:
        now_s += pause_s
        now_s += bucket.wait_s(now_s)
        assert bucket.wait_s(now_s) <= 1e-6  # waiting that long is enough
        bucket.take(amount, now_s)
        taken, largest = taken + amount, max(largest, amount)
        assert taken <= rate * now_s + max(1.0, rate) + largest + 1e-3


def test_an_account_waits_for_the_slower_of_its_rates():
    account = Account(Quotas(messages_per_s=10, bytes_per_s=100), now_s=0)
    account.note(1_100, 0)
    assert account.wait_s(0) == pytest.approx(10, rel=0.01)
    assert "try again in 10 s" in account.too_fast(0)
    assert account.too_fast(10.1) is None


def test_calls_are_counted():
    account = Account(Quotas(calls_max=2), now_s=0)
    account.calls = 1
    assert account.no_more_calls() is None
    account.calls = 2
    assert "may have 2" in account.no_more_calls()


def test_without_quotas_nothing_is_limited():
    account = Account(Quotas(), now_s=0)
    account.calls = 1_000_000
    account.note(1 << 40, 0)
    assert account.no_more_calls() is None
    assert account.too_fast(0) is None
    assert Quotas().unlimited
    assert not Quotas(calls_max=1).unlimited


@pytest.mark.parametrize("name", ["calls_max", "messages_per_s", "bytes_per_s"])
def test_a_quota_of_nothing_is_refused(name):
    with pytest.raises(UsageError, match=name):
        Quotas(**{name: 0})
