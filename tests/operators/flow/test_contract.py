"""What every operator must do, asked of those that route, gather and time packets."""

import pytest

from engine.payloads import Json, Text
from engine.testing import Script, check_operator
from operators.flow.buffer import Buffer
from operators.flow.combine_latest import CombineLatest
from operators.flow.debounce import Debounce
from operators.flow.delay import Delay
from operators.flow.distinct import Distinct
from operators.flow.merge import Merge
from operators.flow.router import Router
from operators.flow.sample import Sample
from operators.flow.scan import Scan
from operators.flow.selection import Select
from operators.flow.throttle import Throttle
from operators.flow.timeout import Timeout
from operators.flow.window import Window
from operators.flow.with_latest_from import WithLatestFrom
from operators.flow.zip import Zip

TEXTS = [Text(f"text {number}") for number in range(8)]
NUMBERS = [Json({"n": number}) for number in (3, 1, 4, 1, 5)]
ROUTES = [{"port": "small", "when": {"field": "n", "lt": 3}}]


def groups():
    script = Script()
    for number in range(6):
        members = {"a": Text(str(number)), "b": Json(number)}
        script = script.send_group(number * 0.02, members)
    return script


CASES = {
    "buffer": (Buffer(count=3), TEXTS),
    "buffer, overlapping": (Buffer(count=3, skip=2), TEXTS),
    "buffer in time": (Buffer(time_s=0.05), TEXTS),
    "combine_latest": (CombineLatest(), groups()),
    "debounce": (Debounce(time_s=0.05), TEXTS),
    "delay": (Delay(time_s=0.05, count_max=2), TEXTS),
    "distinct": (Distinct(field="n"), NUMBERS),
    "merge": (Merge(port_key="by"), groups()),
    "router": (Router(routes=ROUTES), NUMBERS),
    "sample": (Sample(time_s=0.05), TEXTS),
    "scan": (Scan(accumulator="sum", field="n"), NUMBERS),
    "select": (Select(when={"field": "n", "gt": 1}), NUMBERS),
    "throttle, first": (Throttle(time_s=0.05), TEXTS),
    "throttle, latest": (Throttle(time_s=0.05, keep="latest"), TEXTS),
    "timeout": (Timeout(time_s=0.01, on_timeout="emit", fallback=0), TEXTS),
    "window": (Window(count=2, accumulator="mean", field="n"), NUMBERS),
    "window in time": (Window(time_s=0.05, accumulator="count"), TEXTS),
    "with_latest_from": (WithLatestFrom(), groups()),
    "zip": (Zip(skew_max=2), groups()),
}


@pytest.mark.parametrize("name", CASES)
def test_it_keeps_the_contract(name):
    check_operator(*CASES[name])
