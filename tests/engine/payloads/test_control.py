"""engine.payloads.control: its three messages."""

import pytest

from engine.payloads import BatchHint, CancelSpeculation, Control, DeadlineWarning


@pytest.mark.parametrize(
    "message", [CancelSpeculation(0, 2**64 - 1), BatchHint(1), DeadlineWarning(0)]
)
def test_every_message(message):
    control = Control(message, "s", 5, {"a": 1})
    assert control == Control(message, "s", 5, {"a": 1})
    assert control != Control(message, "s", 6, {"a": 1})
    assert (control.segment_id, control.timestamp_ms) == ("s", 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CancelSpeculation(5, 4), r"from_ns 5 lies behind to_ns 4"),
        (lambda: CancelSpeculation(-1, 4), r"from_ns must be 0 to"),
        (lambda: BatchHint(0), r"suggested_batch_size must be 1 to 4294967295, got 0"),
        (lambda: BatchHint(2**32), r"suggested_batch_size must be"),
        (lambda: DeadlineWarning(2**64), r"deadline_us must be"),
        (lambda: Control(BatchHint(1), timestamp_ms=-1), r"Control\.timestamp_ms must be"),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Control("cancel"), r"one of CancelSpeculation, BatchHint, DeadlineWarning, got"),
        (lambda: Control(BatchHint(1), 7), r"Control\.segment_id must be a string"),
        (lambda: BatchHint("4"), r"suggested_batch_size must be a whole number, got str"),
    ],
)
def test_fields_of_other_types_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_messages_never_change():
    with pytest.raises(AttributeError):
        BatchHint(1).suggested_batch_size = 2
