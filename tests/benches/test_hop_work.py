"""What the hop bench must notice, and what it makes of two sides' reports."""

import numpy as np
import pytest

from benches.scripts.hop_work import (
    PACED,
    PING_PONG,
    SATURATED,
    Load,
    Report,
    Sender,
    Taker,
    consume,
    outcome,
    produce,
)

LOAD = Load(64, PING_PONG, in_place=False, messages=6, checked=2)


def messages(load):
    sender = Sender(load)
    return [sender.fill(index) for index in range(load.total)]


def take_all(load, arrays):
    taker = Taker(load)
    for now_ns, array in enumerate(arrays):
        taker.take(array, now_ns)
    return taker.report()


def test_what_was_sent_is_taken():
    report = take_all(LOAD, messages(LOAD))

    assert report.stamps_ns == list(range(LOAD.total))


@pytest.mark.parametrize("index", [0, 4, 9])
def test_a_lost_message_is_noticed(index):
    arrays = messages(LOAD)
    del arrays[index]

    with pytest.raises(AssertionError, match=f"{index} was due|9 of 10 messages came"):
        take_all(LOAD, arrays)


def test_messages_that_change_places_are_noticed():
    arrays = messages(LOAD)
    arrays[4], arrays[5] = arrays[5], arrays[4]

    with pytest.raises(AssertionError, match="message 4 was due"):
        take_all(LOAD, arrays)


@pytest.mark.parametrize("index", [1, 8])
def test_one_wrong_word_is_noticed_outside_of_the_measured_part(index):
    arrays = messages(LOAD)
    arrays[index][3] += 1

    with pytest.raises(AssertionError, match=f"message {index} is damaged"):
        take_all(LOAD, arrays)


def test_another_type_or_length_is_noticed():
    with pytest.raises(AssertionError, match="came as uint8"):
        Taker(LOAD).take(np.zeros(64, np.uint8), 0)
    with pytest.raises(AssertionError, match="has 8 words, not 16"):
        Taker(LOAD).take(np.zeros(8, np.float32), 0)


def test_the_outcome_counts_measured_messages_only():
    sent = Report([1_000_000 * index for index in range(LOAD.total)], cpu_ns=600)
    taken = Report([1_000_000 * index + 50 + index for index in range(LOAD.total)], cpu_ns=1200)

    found = outcome(LOAD, sent, taken, other_cpu_ns=50)

    assert found["hops_ns"] == [52, 53, 54, 55, 56, 57]
    assert found["seconds"] == pytest.approx(6e-3, rel=1e-4)
    assert (found["producer_cpu_ns"], found["consumer_cpu_ns"]) == (100, 200)
    assert found["other_cpu_ns"] == 5


@pytest.mark.parametrize("mode", [PING_PONG, PACED, SATURATED])
@pytest.mark.parametrize("windowed", [True, False])
def test_never_more_than_a_window_is_under_way(mode, windowed):
    """Whoever waits for an answer gets one, and every answer is waited for but the last."""
    load = Load(4, mode, in_place=False, messages=3 if mode == PACED else 200, checked=0)
    sent, waits = [], []

    produce(load, sent.append, lambda: waits.append(len(sent)), windowed=windowed)
    arrays = iter(sent)
    answers, taken = [], []

    def receive():
        taken.append(next(arrays))
        return taken[-1]

    consume(load, receive, lambda: answers.append(len(taken)), windowed=windowed)

    assert len(taken) == load.total
    under_way = [at - answers[number] for number, at in enumerate(waits)]
    if mode == PING_PONG:
        assert len(waits) == len(answers) == load.total
        assert set(under_way) == {0}
    elif mode == SATURATED and windowed:
        assert len(waits) == len(answers) - 1
        assert max(under_way) <= load.window
    else:
        assert not waits
        assert not answers
