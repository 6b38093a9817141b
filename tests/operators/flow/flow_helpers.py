"""Benches for one operator, and functions that params name."""

import numpy as np

from engine.errors import RemoteMediaError
from engine.payloads import Audio, Binary, CancelSpeculation, Control, Json, Text
from engine.stage_steering import HandEnds, StageSteering
from engine.steering import SetParams
from engine.testing import StageBench

HERE = __name__

CONTROL = Control(CancelSpeculation(0, 1))


def initialized(operator):
    """The operator, ready for packets; its initialize must not wait for anything."""
    started = operator.initialize(None)
    try:
        started.send(None)
    except StopIteration:
        return operator
    raise AssertionError("initialize waits")


def bench_of(operator, **options):
    return StageBench({"node": initialized(operator)}, **options)


def fan_in_bench(operator, **options):
    """A bench with an edge for each input port, "node.a" and so on."""
    return bench_of(operator, inputs=[f"node.{port}" for port in operator.inputs], **options)


def play(bench, *steps):
    """Feed what is no number, let so many seconds pass where it is one; strings are texts."""
    for step in steps:
        if isinstance(step, (int, float)):
            bench.advance(step)
        else:
            bench.feed(Text(step) if isinstance(step, str) else step)
            bench.run()


def end(bench, *at):
    bench.finish(*at)
    bench.run()


def change(bench, **params):
    """Change params of the only node; gives its params as they are now.

    Raises:
        RemoteMediaError: it was refused.
    """
    answers = []
    order = SetParams("node", params)
    StageSteering([bench.stage]).apply(order, HandEnds(), answers.append)
    bench.run()
    (answer,) = answers
    if isinstance(answer, RemoteMediaError):
        raise answer
    return answer["params"]


def tell(bench, message):
    """Tell the only node a control message; the stage drops nothing of what comes behind it."""
    bench.stage.tell(Control(message), frozenset({"node"}), before_ns=0)
    bench.run()


def timed(bench):
    """(seconds, value) of everything that came out."""
    sink = bench.sink()
    return list(zip([at_ns / 1e9 for at_ns in sink.arrivals_ns], sink.values, strict=True))


def block(*samples, rate=8_000, dtype=np.float32, channels=1):
    return Audio(np.array(samples, dtype).reshape(-1, channels), rate)


# ---------------------------------------------------------------- named in params


def joined_text(packets):
    return Text("+".join(packet.payload.text for packet in packets))


def total_bytes(members):
    return Json(sum(len(packet.payload.data) for packet in members.values()))


def only_louder(members):
    """No output where a is not larger than b."""
    first, second = (packet.payload.value for packet in members.values())
    return Json(first - second) if first > second else None


def not_a_payload(_):
    return {"a": 1}


def collect(so_far, value):
    """Changes what it is given, as many a function does."""
    so_far.append(value)
    return so_far


def longest(so_far, value):
    return value if value.frames > so_far.frames else so_far


def length_of(packet):
    return len(packet.payload.text)


def is_long(packet):
    return isinstance(packet.payload, Text) and len(packet.payload.text) > 3


async def asynchronous(packet):
    return True


def failing(*_):
    raise RuntimeError("it broke")


ANYTHING = [block(0.5, 0.25), Text("x"), Json({"a": 1}), Binary(b"x"), CONTROL]
NOT_CALLABLE = 3
