"""A worker's lane, with a test in the server's place."""

import os
import socket
import threading

import pytest

from engine.interruption import Played, Settlement
from engine.workers.control_page import ControlPage
from engine.workers.lane import Lane
from engine.workers.messages import (
    MESSAGE_BYTES_MAX,
    ControlEvent,
    FailedEvent,
    FinishedEvent,
    HeartbeatEvent,
    InterruptCommand,
    PingCommand,
    PongEvent,
    ProgressEvent,
    ReadyEvent,
    SettledEvent,
    ShutdownCommand,
    SpawnReplyEvent,
    SteerCommand,
    SteeredEvent,
    decode,
    encode,
)

PATIENCE_S = 10.0


class Server:
    def __init__(self, end):
        self.end = end
        end.settimeout(PATIENCE_S)

    def say(self, message, fds=()):
        socket.send_fds(self.end, [encode(message)], fds)

    def hear(self):
        return decode(self.end.recv(MESSAGE_BYTES_MAX))


class Gone(BaseException):
    """Takes the place of os._exit."""


@pytest.fixture
def ends(monkeypatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left = threading.Event()

    def leave(code):
        left.code = code
        raise Gone

    monkeypatch.setattr("engine.workers.lane.os._exit", leave)
    lane = Lane(theirs, ControlPage(memoryview(bytearray(64)).cast("Q")))

    def run():
        try:
            lane._run()
        except Gone:
            left.set()

    thread = threading.Thread(target=run)
    thread.start()
    yield Server(ours), lane, left
    ours.close()
    assert left.wait(PATIENCE_S)
    thread.join()
    theirs.close()


def test_it_answers_with_the_turn_under_way(ends):
    server, lane, _ = ends
    lane.page.begin_turn(0, 123)
    server.say(PingCommand(7))
    assert server.hear() == PongEvent(7, 123)
    assert lane.page.heartbeats


def test_it_says_what_the_worker_says(ends):
    server, lane, _ = ends
    lane.progress("a", "loading", 0.5, "x" * 10_000)
    lane.ready()
    assert server.hear() == ProgressEvent("a", "loading", 0.5, "x" * 4096)
    assert server.hear() == ReadyEvent()
    assert not lane.ended
    lane.finished({"turns": 3})
    assert server.hear() == FinishedEvent({"turns": 3})
    assert lane.ended


def test_an_error_is_cut_to_fit(ends):
    server, lane, _ = ends
    lane.failed({"code": "node", "message": "m", "context": {}, "traceback": "x" * 1_000_000})
    heard = server.hear()
    assert isinstance(heard, FailedEvent)
    assert heard.error["message"] == "m"
    assert lane.ended


def test_statistics_that_do_not_fit_are_refused(ends):
    _, lane, _ = ends
    with pytest.raises(ValueError, match="exceeds"):
        lane.finished({"text": "x" * MESSAGE_BYTES_MAX})
    assert not lane.ended


def test_heartbeats_until_ready(ends, monkeypatch):
    monkeypatch.setattr("engine.workers.lane.HEARTBEAT_S", 0.01)
    server, lane, _ = ends
    server.say(PingCommand(1))  # wakes it, so that it waits anew
    assert server.hear() == PongEvent(1)
    assert server.hear() == HeartbeatEvent()
    lane.ready()
    while (heard := server.hear()) == HeartbeatEvent():
        pass
    assert heard == ReadyEvent()
    server.say(PingCommand(2))
    while (heard := server.hear()) == HeartbeatEvent():
        pass
    assert heard == PongEvent(2)


def test_shutdown_calls_back_once(ends):
    server, lane, _ = ends
    asked = threading.Semaphore(0)
    lane.on_shutdown(asked.release)
    assert not lane.shutdown_asked
    server.say(ShutdownCommand())
    server.say(ShutdownCommand())
    assert asked.acquire(timeout=PATIENCE_S)
    server.say(PingCommand(1))
    assert server.hear() == PongEvent(1)
    assert not asked.acquire(blocking=False)
    assert lane.shutdown_asked


def test_what_came_before_the_callback_is_remembered(ends):
    server, lane, _ = ends
    server.say(InterruptCommand(4, ("a",)))
    server.say(InterruptCommand(5))
    server.say(ShutdownCommand())
    server.say(PingCommand(1))
    assert server.hear() == PongEvent(1)
    seen = []
    lane.on_command(lambda command, _: seen.append(command))
    lane.on_shutdown(lambda: seen.append("shutdown"))
    assert seen == [InterruptCommand(4, ("a",)), InterruptCommand(5), "shutdown"]


def test_every_interrupt_is_handed_on(ends):
    server, lane, _ = ends
    seen = []
    lane.on_command(lambda command, _: seen.append(command))
    for generation in (1, 2, 5):
        server.say(InterruptCommand(generation, ("a", "b")))
    server.say(PingCommand(1))
    assert server.hear() == PongEvent(1)
    assert seen == [InterruptCommand(each, ("a", "b")) for each in (1, 2, 5)]
    lane.settled(Settlement(5, {"a→b": 3}, {"b": (Played(7, 20, 40, {"text": "ja"}),)}))
    told = server.hear()
    assert isinstance(told, SettledEvent)
    assert told.settlement() == Settlement(
        5, {"a→b": 3}, {"b": (Played(7, 20, 40, {"text": "ja"}),)}
    )


def test_an_order_brings_its_descriptors(ends):
    server, lane, _ = ends
    read, write = os.pipe()
    early, late = SteerCommand(1, {"verb": "attach"}, {"shows": {}}), SteerCommand(2, {})
    server.say(early, [read, write])
    os.close(read)
    server.say(PingCommand(1))
    assert server.hear() == PongEvent(1)  # the first came before anybody wanted to know
    seen = []
    lane.on_command(lambda command, fds: seen.append((command, fds)))
    server.say(late, [write])
    server.say(PingCommand(2))
    assert server.hear() == PongEvent(2)
    assert [command for command, _ in seen] == [early, late]
    (reading, writing), (also_writing,) = (fds for _, fds in seen)
    for fd in (write, writing, also_writing):
        os.write(fd, b"x")
        os.close(fd)
    assert os.read(reading, 10) == b"xxx"
    assert not os.get_inheritable(reading)
    os.close(reading)


def test_it_says_what_became_of_an_order(ends):
    server, lane, _ = ends
    lane.steered(3, {"params": {"gain": 2.0}})
    assert server.hear() == SteeredEvent(3, {"params": {"gain": 2.0}})
    lane.refused(4, {"code": "usage", "message": "m", "context": {}, "traceback": "x" * 1_000_000})
    heard = server.hear()
    assert (heard.number, heard.answer, heard.error["message"]) == (4, {}, "m")
    with pytest.raises(ValueError, match="exceeds"):
        lane.steered(5, {"params": {"text": "x" * MESSAGE_BYTES_MAX}})
    lane.control("a", {"message": {"batch_hint": {"suggested_batch_size": 2}}})
    assert server.hear() == ControlEvent(
        "a", {"message": {"batch_hint": {"suggested_batch_size": 2}}}
    )
    with pytest.raises(TypeError):
        lane.control("a", {"metadata": object()})


def test_it_outlives_callbacks_that_raise_and_strange_messages(ends, capsys):
    server, lane, _ = ends

    def raising():
        raise LookupError("a mistake of the stage's")

    lane.on_shutdown(raising)
    server.say(ShutdownCommand())
    server.say(SpawnReplyEvent(1, 2))
    server.end.send(b"nonsense")
    server.say(PingCommand(1))
    assert server.hear() == PongEvent(1)
    assert "a mistake of the stage's" in capsys.readouterr().err


def test_it_leaves_when_the_server_is_gone(ends):
    server, lane, left = ends
    server.end.close()
    assert left.wait(PATIENCE_S)
    assert left.code == 3
    lane.ready()  # goes nowhere
