"""One worker's state machine, in virtual time."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InitTimeoutError, NodeError, SpawnError, WorkerCrashedError
from engine.workers.messages import (
    ExitedEvent,
    FailedEvent,
    FinishedEvent,
    HeartbeatEvent,
    PongEvent,
    ProgressEvent,
    ReadyEvent,
    SpawnReplyEvent,
)
from engine.workers.notices import (
    ExitedNotice,
    FailedNotice,
    FinishedNotice,
    ProgressNotice,
    ReadyNotice,
)
from engine.workers.supervisor import (
    EXCUSE_NS,
    LATE_NS,
    DamagedEvent,
    KillRequestEvent,
    NotifyCommand,
    PeerLostEvent,
    SendPingCommand,
    SendShutdownCommand,
    SendSignalCommand,
    SocketClosedEvent,
    StopRequestEvent,
    Supervisor,
    TickEvent,
    WorkerLimits,
    WorkerState,
    ZygoteLostEvent,
)

S = 1_000_000_000
TERM = SendSignalCommand(signal.SIGTERM)
KILL = SendSignalCommand(signal.SIGKILL)
KILL_DIRECT = SendSignalCommand(signal.SIGKILL, direct=True)


class Life:
    """A supervisor with a clock that stands still until told."""

    def __init__(self, **limits):
        defaults = {
            "node_ids": ("a", "b"),
            "init_timeout_ns": 60 * S,
            "hang_timeout_ns": 30 * S,
            "cleanup_grace_ns": 10 * S,
        }
        self.now_ns = 1000 * S
        self.supervisor = Supervisor(WorkerLimits(**{**defaults, **limits}), self.now_ns)
        self.commands = []

    def feed(self, event, after_s=0, at_work=None):
        self.now_ns += round(after_s * S)
        self.commands = self.supervisor.feed(event, self.now_ns, at_work)
        return self.commands

    def until_deadline(self, turn_started_ns=0, turn_node=0):
        """Go to the next deadline and tick; returns seconds since now and the commands."""
        deadline_ns = self.supervisor.next_deadline_ns()
        took_s = (deadline_ns - self.now_ns) / S
        self.now_ns = max(self.now_ns, deadline_ns)
        return took_s, self.feed(TickEvent(turn_started_ns, turn_node))

    def ready(self):
        self.feed(SpawnReplyEvent(1, 77))
        self.feed(ReadyEvent())
        return self

    @property
    def state(self):
        return self.supervisor.state

    @property
    def error(self):
        (error,) = [c.notice.error for c in self.commands if _is_notice(c, FailedNotice)]
        return error

    def notices(self):
        return [c.notice for c in self.commands if isinstance(c, NotifyCommand)]

    def orders(self):
        return [c for c in self.commands if not isinstance(c, NotifyCommand)]


def _is_notice(command, kind):
    return isinstance(command, NotifyCommand) and isinstance(command.notice, kind)


def test_a_life_without_trouble():
    life = Life()
    assert life.state is WorkerState.SPAWNED
    life.feed(SpawnReplyEvent(1, 77))
    assert life.state is WorkerState.IMPORTING
    assert life.supervisor.pid == 77
    life.feed(ProgressEvent("a", "importing"))
    assert life.state is WorkerState.IMPORTING
    life.feed(ProgressEvent("a", "initializing", 0.5, "half"))
    assert life.state is WorkerState.INITIALIZING
    assert life.notices() == [ProgressNotice("a", "initializing", 0.5, "half")]
    life.feed(ReadyEvent())
    assert life.state is WorkerState.READY
    assert life.notices() == [ReadyNotice()]
    life.feed(FinishedEvent({"turns": 1}))
    assert life.commands == [NotifyCommand(FinishedNotice({"turns": 1}))]
    assert life.state is WorkerState.DRAINING
    life.feed(ExitedEvent(1, code=0))
    assert life.commands == [NotifyCommand(ExitedNotice(0, None))]
    assert life.state is WorkerState.STOPPED
    assert life.supervisor.exited
    assert life.supervisor.next_deadline_ns() is None
    assert life.feed(TickEvent()) == []


def test_words_quicker_than_the_spawn_reply():
    life = Life()
    assert life.feed(ReadyEvent()) == []  # who is said to be ready has a pid
    life.feed(SpawnReplyEvent(1, 77))
    assert life.commands == [NotifyCommand(ReadyNotice())]
    assert life.state is WorkerState.READY
    assert life.supervisor.pid == 77
    life.feed(ReadyEvent())
    assert life.commands == []  # said once


def test_all_its_words_quicker_than_the_spawn_reply():
    life = Life()
    life.feed(ReadyEvent())
    life.feed(FinishedEvent({}))
    assert life.commands[:2] == [NotifyCommand(ReadyNotice()), NotifyCommand(FinishedNotice({}))]
    life.feed(SpawnReplyEvent(1, 77))
    assert life.supervisor.pid == 77
    assert NotifyCommand(ReadyNotice()) not in life.commands


def test_a_spawn_that_fails():
    life = Life()
    life.feed(SpawnReplyEvent(1, 0, "fork failed: out of memory"))
    assert isinstance(life.error, SpawnError)
    assert "'a', 'b': fork failed" in str(life.error)
    assert life.notices()[-1] == ExitedNotice(None, None)
    assert life.orders() == []
    assert life.state is WorkerState.FAILED


def test_init_timeout_covers_the_spawn_too():
    life = Life()
    took_s, _ = life.until_deadline()
    assert took_s == 60
    assert isinstance(life.error, InitTimeoutError)
    assert "'spawned'" in str(life.error)
    assert life.orders() == [SendShutdownCommand()]


def test_init_timeout_names_the_step_and_the_last_progress():
    life = Life()
    life.feed(SpawnReplyEvent(1, 77))
    life.feed(ProgressEvent("b", "loading_model", 0.4, "weights"), 1)
    for _ in range(28):
        life.feed(HeartbeatEvent(), 2)
    took_s, _ = life.until_deadline()
    assert took_s == 3
    assert "step 'loading_model', last progress of 'b': 40% weights" in str(life.error)
    assert life.error.context["step"] == "loading_model"
    assert life.error.context["node_ids"] == ["a", "b"]


def test_silence_before_it_is_ready():
    life = Life()
    life.feed(SpawnReplyEvent(1, 77), 20)
    life.feed(HeartbeatEvent(), 2)
    took_s, _ = life.until_deadline()
    assert took_s == 30
    assert isinstance(life.error, WorkerCrashedError)
    assert "fell silent: nothing heard for 30.0 s" in str(life.error)
    assert life.orders() == [TERM]  # asking is no use


def test_a_short_hang_timeout_still_lets_heartbeats_come():
    life = Life(hang_timeout_ns=S)
    life.feed(SpawnReplyEvent(1, 77))
    for _ in range(10):
        assert life.feed(TickEvent(), 1) == []
        life.feed(HeartbeatEvent(), 1)
    took_s, _ = life.until_deadline()
    assert took_s == 6


def test_pings_and_pongs():
    life = Life().ready()
    for token in (1, 2, 3):
        took_s, commands = life.until_deadline()
        assert took_s == 10
        assert commands == [SendPingCommand(token)]
        assert life.feed(PongEvent(token)) == []


def test_silence_after_it_is_ready():
    life = Life().ready()
    life.until_deadline()
    assert life.feed(PongEvent(99)) == []  # not the answer
    took_s, _ = life.until_deadline()
    assert took_s == 20
    assert isinstance(life.error, WorkerCrashedError)
    assert life.error.node_id == "a"
    assert "fell silent" in str(life.error)
    assert life.orders() == [TERM]
    assert life.state is WorkerState.FAILED


def test_a_deadline_that_is_noticed_late_excuses_the_worker_once():
    life = Life().ready()
    life.until_deadline()
    asleep_s = 20 + 3600
    assert life.feed(TickEvent(), asleep_s) == []
    assert life.supervisor.next_deadline_ns() == life.now_ns + EXCUSE_NS
    life.feed(PongEvent(1), 0.1)
    took_s, commands = life.until_deadline()
    assert took_s == 10
    assert commands == [SendPingCommand(2)]
    life.feed(TickEvent(), 3600)
    life.until_deadline()
    assert isinstance(life.error, WorkerCrashedError)


def test_a_little_late_is_no_excuse():
    life = Life().ready()
    life.until_deadline()
    life.feed(TickEvent(), 20 + LATE_NS / S)
    assert isinstance(life.error, WorkerCrashedError)


def test_turns_are_looked_at_once_per_timeout():
    life = Life(turn_timeouts_ns=(2 * S, 2 * S)).ready()
    took_s, commands = life.until_deadline()
    assert (took_s, commands) == (2, [])
    # A turn began 0.5 s ago: the next look is when its time is over, not before.
    took_s, commands = life.until_deadline(turn_started_ns=life.now_ns + round(1.5 * S))
    assert (took_s, commands) == (2, [])
    started_ns = life.now_ns - round(0.5 * S)
    took_s, _ = life.until_deadline(turn_started_ns=started_ns, turn_node=1)
    assert took_s == 1.5
    assert isinstance(life.error, WorkerCrashedError)
    assert life.error.node_id == "b"
    assert "process_timeout_ms, 2000 ms" in str(life.error)
    assert life.orders() == [SendShutdownCommand()]


def test_another_turn_gets_its_own_time():
    life = Life(turn_timeouts_ns=(2 * S, 2 * S)).ready()
    for _ in range(5):
        _, commands = life.until_deadline(turn_started_ns=life.now_ns + S)
        assert not any(_is_notice(command, FailedNotice) for command in commands)


def test_the_ladder():
    life = Life().ready()
    life.feed(StopRequestEvent())
    assert life.commands == [SendShutdownCommand()]
    assert life.state is WorkerState.DRAINING
    assert life.feed(StopRequestEvent()) == []
    assert life.until_deadline() == (4, [TERM])
    assert life.until_deadline() == (3, [KILL])
    assert life.until_deadline() == (3, [KILL_DIRECT])
    assert life.supervisor.next_deadline_ns() is None  # nothing is left but to wait
    life.feed(ExitedEvent(1, signal=9))
    assert life.commands == [NotifyCommand(ExitedNotice(None, 9))]
    assert life.state is WorkerState.STOPPED


def test_a_late_tick_climbs_several_rungs():
    life = Life().ready()
    life.feed(StopRequestEvent())
    assert life.feed(TickEvent(), 8) == [TERM, KILL]


def test_the_ladder_reports_what_the_worker_still_says():
    life = Life().ready()
    life.feed(StopRequestEvent())
    life.feed(FinishedEvent({"turns": 1}), 1)
    assert life.notices() == [FinishedNotice({"turns": 1})]
    assert life.feed(FinishedEvent()) == []
    assert life.until_deadline() == (3, [TERM])  # its deadlines have not moved


def test_an_error_while_stopping_is_told():
    life = Life().ready()
    life.feed(StopRequestEvent())
    life.feed(FailedEvent(NodeError("cleanup failed", node_id="a").to_dict()))
    assert life.error.message == "cleanup failed"
    life.feed(ExitedEvent(1, code=1))
    assert life.notices() == [ExitedNotice(1, None)]
    assert life.state is WorkerState.FAILED


def test_a_process_that_is_dead_though_nobody_reports_it():
    life = Life().ready()
    life.feed(KillRequestEvent())
    assert life.commands == [KILL]
    assert life.state is WorkerState.DRAINING
    assert life.feed(SocketClosedEvent()) == []
    _, commands = life.until_deadline()
    assert commands == [KILL_DIRECT, NotifyCommand(ExitedNotice(None, 9))]


def test_the_same_the_other_way_round():
    life = Life().ready()
    life.feed(KillRequestEvent())
    assert life.until_deadline() == (3, [KILL_DIRECT])
    assert life.feed(SocketClosedEvent()) == [NotifyCommand(ExitedNotice(None, 9))]


def test_its_own_error_is_kept_when_it_exits():
    life = Life().ready()
    life.feed(FailedEvent(NodeError("no voice", node_id="b").to_dict()))
    assert life.error.node_id == "b"
    assert life.orders() == []  # it leaves by itself
    assert life.state is WorkerState.FAILED
    assert life.feed(FailedEvent(NodeError("another").to_dict())) == []
    life.feed(ExitedEvent(1, code=1))
    assert life.notices() == [ExitedNotice(1, None)]


def test_one_that_failed_and_does_not_leave_is_made_to():
    life = Life().ready()
    life.feed(FailedEvent(NodeError("no voice").to_dict()))
    assert life.until_deadline() == (4, [TERM])
    assert life.feed(StopRequestEvent()) == []
    assert life.until_deadline() == (3, [KILL])


@pytest.mark.parametrize(
    ("event", "words", "context"),
    [
        (ExitedEvent(1, code=3), "Process crashed with exit code 3", ("exit_code", 3)),
        (ExitedEvent(1, code=0), "Process crashed with exit code 0", ("exit_code", 0)),
        (ExitedEvent(1, signal=11), "killed by signal 11 (SIGSEGV)", ("signal", 11)),
        (ExitedEvent(1, signal=64), "killed by signal 64", ("signal", 64)),
        (ExitedEvent(1, signal=99), "killed by signal 99 (unknown)", ("signal", 99)),
    ],
)
def test_an_exit_without_a_word_is_a_crash(event, words, context):
    life = Life().ready()
    life.feed(event)
    assert isinstance(life.error, WorkerCrashedError)
    assert words in str(life.error)
    assert "'a', 'b'" in str(life.error)
    assert life.error.context[context[0]] == context[1]
    assert life.error.context["pid"] == 77
    assert life.notices()[-1] == ExitedNotice(event.code, event.signal)
    assert life.state is WorkerState.FAILED


def test_one_node_is_called_a_node():
    life = Life(node_ids=("only",)).ready()
    life.feed(ExitedEvent(1, code=3))
    assert str(life.error).startswith("node 'only': ")


def test_a_crash_in_a_turn_names_the_node_that_was_at_work():
    life = Life(node_ids=("a", "b", "c")).ready()
    life.feed(ExitedEvent(1, code=3), at_work=1)
    assert str(life.error) == (
        "node 'b': Process crashed with exit code 3 while ready, in the process of 'a', 'b', 'c'"
    )
    life = Life(node_ids=("only",)).ready()
    life.feed(DamagedEvent("odd"), at_work=0)
    assert str(life.error) == "node 'only': the worker sent a damaged message (odd)"


def test_a_closed_socket_waits_a_moment_for_the_exit_code():
    life = Life().ready()
    assert life.feed(SocketClosedEvent()) == []
    life.feed(ExitedEvent(1, signal=11))
    assert "SIGSEGV" in str(life.error)

    life = Life().ready()
    life.feed(SocketClosedEvent())
    took_s, _ = life.until_deadline()
    assert took_s == 1
    assert "closed its control socket" in str(life.error)
    assert life.orders() == [TERM]


def test_where_a_peer_is_missed_a_worker_shows_at_once_that_it_lives():
    life = Life().ready()
    (ping,) = life.feed(PeerLostEvent(), after_s=1)
    assert ping == SendPingCommand(1)
    assert life.feed(PeerLostEvent()) == []  # it is being asked
    life.feed(PongEvent(1, 0))
    assert life.until_deadline() == (10, [SendPingCommand(2)])


def test_one_that_starts_or_ends_is_not_asked_for_a_peers_sake():
    assert Life().feed(PeerLostEvent()) == []
    life = Life().ready()
    life.feed(StopRequestEvent())
    assert life.feed(PeerLostEvent()) == []


def test_a_damaged_message():
    life = Life().ready()
    life.feed(DamagedEvent("an unknown message: 'x'"))
    assert "an unknown message: 'x'" in str(life.error)
    assert life.orders() == [TERM]


def test_a_lost_zygote_before_the_fork_is_a_failed_spawn():
    life = Life()
    life.feed(ZygoteLostEvent("the zygote of python (pid 5) ended with exit code 1"))
    assert isinstance(life.error, SpawnError)
    assert "the zygote of python (pid 5)" in str(life.error)
    assert life.notices()[-1] == ExitedNotice(None, 9)


def test_a_lost_zygote_takes_its_workers_along():
    life = Life().ready()
    life.feed(ZygoteLostEvent("the zygote of python (pid 5) was killed by signal 9 (SIGKILL)"))
    assert isinstance(life.error, WorkerCrashedError)
    assert "the zygote of python (pid 5)" in str(life.error)
    assert life.supervisor.exited


def test_a_lost_zygote_is_no_error_of_one_that_was_to_end():
    life = Life().ready()
    life.feed(StopRequestEvent())
    life.feed(ZygoteLostEvent("…"))
    assert life.notices() == [ExitedNotice(None, 9)]
    assert life.state is WorkerState.STOPPED


EVENTS = st.sampled_from(
    [
        SpawnReplyEvent(1, 77),
        SpawnReplyEvent(1, 0, "no"),
        ProgressEvent("a", "initializing"),
        HeartbeatEvent(),
        ReadyEvent(),
        PongEvent(1),
        FailedEvent(NodeError("x").to_dict()),
        FinishedEvent(),
        ExitedEvent(1, code=1),
        ZygoteLostEvent("lost"),
        SocketClosedEvent(),
        DamagedEvent("x"),
        StopRequestEvent(),
        KillRequestEvent(),
        TickEvent(),
        TickEvent(turn_started_ns=1),
    ]
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 100)), max_size=40))
def test_whatever_happens_failed_comes_once_and_exited_last(events):
    life = Life(turn_timeouts_ns=(5 * S,))
    notices = []
    for event, after_s in events:
        life.feed(event, after_s)
        notices += life.notices()
    # Ticks alone must lead to SIGKILL or to a state without a deadline other than pings.
    kinds = [type(notice) for notice in notices]
    assert kinds.count(FailedNotice) <= 1
    assert kinds.count(FinishedNotice) <= 1
    assert kinds.count(ReadyNotice) <= 1
    assert ExitedNotice not in kinds[:-1]
    assert life.supervisor.exited == (ExitedNotice in kinds)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 100)), max_size=20))
def test_a_stopped_worker_is_always_killed_in_the_end(events):
    life = Life()
    for event, after_s in events:
        life.feed(event, after_s)
    orders = [KILL] if any(isinstance(event, KillRequestEvent) for event, _ in events) else []
    life.feed(StopRequestEvent())
    while life.supervisor.next_deadline_ns() is not None:
        life.until_deadline()
        orders += life.orders()
    assert life.supervisor.exited or KILL_DIRECT in [*orders, *_all_orders(events)]


def _all_orders(events):
    life, orders = Life(), []
    for event, after_s in events:
        life.feed(event, after_s)
        orders += life.orders()
    return orders


def test_each_node_has_its_own_bound_on_a_turn():
    life = Life(turn_timeouts_ns=(None, 2 * S)).ready()
    started_ns = life.now_ns
    for _ in range(3):  # the first node may take as long as it likes
        took_s, _ = life.until_deadline(turn_started_ns=started_ns, turn_node=0)
        assert took_s == 2
    started_ns = life.now_ns - round(0.5 * S)
    life.until_deadline(turn_started_ns=started_ns, turn_node=1)
    assert life.error is not None
    assert life.error.node_id == "b"
