"""engine.session.state: what a session may do, when it has finished, and what it failed with."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.errors import EdgeClosedError, NodeError, PeerDiedError, UsageError
from engine.session.state import CAUSE_GRACE_NS, Phase, SessionState

STAGES = ("a", "b")


def cause(node="a"):
    return NodeError(f"node {node!r} raised", node_id=node)


def consequence():
    return PeerDiedError("the other side is gone", edge="a→b")


def running(stages=STAGES):
    state = SessionState(stages)
    state.start()
    assert state.ready()
    return state


# ------------------------------------------------------------------------------- an ordinary life


def test_a_session_goes_from_created_to_closed():
    state = SessionState(STAGES)
    phases = [state.phase]
    for step in (state.start, state.ready, state.input_ended):
        step()
        phases.append(state.phase)
    for stage in STAGES:
        state.stage_finished(stage)
        phases.append(state.phase)
    state.stop()
    phases.append(state.phase)
    state.closed()
    phases.append(state.phase)
    assert phases == [
        Phase.CREATED,
        Phase.STARTING,
        Phase.RUNNING,
        Phase.DRAINING,
        Phase.DRAINING,
        Phase.FINISHED,
        Phase.STOPPING,
        Phase.CLOSED,
    ]
    assert state.error is None


def test_it_can_be_started_once():
    state = running()
    with pytest.raises(UsageError, match="can be started once"):
        state.start()


def test_input_is_taken_while_it_runs_and_at_no_other_time():
    state = SessionState(STAGES)
    taken = [state.accepts_input]
    for step in (state.start, state.ready, state.input_ended, state.stop, state.closed):
        step()
        taken.append(state.accepts_input)
    assert taken == [False, False, True, False, False, False]


def test_the_end_of_input_counts_once():
    state = running()
    assert state.input_ended()
    assert not state.input_ended()
    state.stop()
    assert not state.input_ended()


def test_a_pipeline_may_finish_before_its_input_ends():
    state = running()
    state.stage_finished("a")
    assert state.phase is Phase.RUNNING
    state.stage_finished("b")
    assert state.phase is Phase.FINISHED


def test_without_stages_the_end_of_input_is_the_end():
    state = running(())
    assert state.phase is Phase.RUNNING
    state.input_ended()
    assert state.phase is Phase.FINISHED


def test_a_stage_that_finishes_twice_counts_once():
    state = running()
    state.stage_finished("a")
    state.stage_finished("a")
    assert state.phase is Phase.RUNNING


def test_what_was_ended_while_it_started_never_runs():
    state = SessionState(STAGES)
    state.start()
    state.stop()
    assert not state.ready()
    assert state.phase is Phase.STOPPING


def test_a_closed_session_stays_closed():
    state = running()
    state.closed()
    state.stop()
    assert state.phase is Phase.CLOSED
    assert not state.failed(cause(), 0)
    assert state.error is None


# ------------------------------------------------------------------------------- which error counts


def test_the_first_cause_wins():
    state = running()
    first = cause("a")
    assert state.failed(first, 0)
    assert not state.failed(cause("b"), 1)
    assert state.error is first
    assert state.phase is Phase.STOPPING


def test_a_failure_while_it_starts_ends_the_start():
    state = SessionState(STAGES)
    state.start()
    assert state.failed(cause(), 0)
    assert not state.ready()


def test_a_consequence_waits_for_its_cause():
    state = running()
    assert not state.failed(consequence(), 5)
    assert (state.error, state.phase) == (None, Phase.RUNNING)
    assert state.next_due_ns() == 5 + CAUSE_GRACE_NS
    why = cause()
    assert state.failed(why, 6)
    assert state.error is why
    assert state.next_due_ns() is None


@pytest.mark.parametrize(
    "error", [consequence(), EdgeClosedError("stage 'a' failed", edge="a→b")], ids=["peer", "edge"]
)
def test_without_a_cause_the_consequence_is_the_error_after_a_while(error):
    state = running()
    state.failed(error, 5)
    assert not state.tick(5 + CAUSE_GRACE_NS - 1)
    assert state.tick(5 + CAUSE_GRACE_NS)
    assert state.error is error
    assert state.phase is Phase.STOPPING
    assert not state.tick(5 + 2 * CAUSE_GRACE_NS)


def test_the_first_consequence_is_kept_and_its_time_too():
    state = running()
    first = consequence()
    state.failed(first, 5)
    state.failed(consequence(), 50)
    assert state.next_due_ns() == 5 + CAUSE_GRACE_NS
    state.tick(5 + CAUSE_GRACE_NS)
    assert state.error is first


def test_once_all_have_finished_there_is_no_cause_to_wait_for():
    state = running()
    state.input_ended()
    for stage in STAGES:
        state.stage_finished(stage)
    late = consequence()
    assert state.failed(late, 0)
    assert state.error is late


def test_nothing_is_due_where_nothing_has_failed():
    state = running()
    assert state.next_due_ns() is None
    assert not state.tick(10**15)
    assert state.phase is Phase.RUNNING


def test_what_comes_while_everything_is_being_ended_is_no_failure():
    state = running()
    state.stop()
    assert not state.failed(cause(), 0)
    assert not state.failed(consequence(), 0)
    assert state.error is None


@pytest.mark.parametrize("end", [SessionState.stop, SessionState.closed], ids=["stop", "closed"])
def test_a_consequence_nobody_explains_is_no_failure_once_it_is_being_ended(end):
    state = running()
    state.failed(consequence(), 0)
    end(state)
    phase = state.phase
    assert not state.tick(CAUSE_GRACE_NS)
    assert (state.error, state.phase) == (None, phase)


# ------------------------------------------------------------------------------- in any order

ORDER = list(Phase)


class Life(RuleBasedStateMachine):
    """Events as they may come, in any order: phases only go forward, and an error never changes."""

    def __init__(self):
        super().__init__()
        self.state = SessionState(STAGES)
        self.now_ns = 0
        self.seen = [self.state.phase]
        self.error = None

    @rule()
    def start(self):
        if self.state.phase is Phase.CREATED:
            self.state.start()

    @rule()
    def ready(self):
        self.state.ready()

    @rule()
    def end_input(self):
        self.state.input_ended()

    @rule(stage=st.sampled_from(STAGES))
    def finish(self, stage):
        self.state.stage_finished(stage)

    @rule(late_ns=st.integers(0, 2 * CAUSE_GRACE_NS))
    def fail(self, late_ns):
        self.now_ns += late_ns
        before = self.state.error
        assert self.state.failed(cause(), self.now_ns) == (self.state.error is not before)

    @rule()
    def lose_a_peer(self):
        self.state.failed(consequence(), self.now_ns)

    @rule(late_ns=st.integers(0, 2 * CAUSE_GRACE_NS))
    def wait(self, late_ns):
        self.now_ns += late_ns
        due_ns = self.state.next_due_ns()
        failed = self.state.tick(self.now_ns)
        assert not failed or (due_ns is not None and due_ns <= self.now_ns)

    @rule()
    def stop(self):
        self.state.stop()

    @rule()
    def close(self):
        self.state.stop()
        self.state.closed()

    @invariant()
    def goes_forward(self):
        phase = self.state.phase
        assert ORDER.index(phase) >= ORDER.index(self.seen[-1])
        self.seen.append(phase)

    @invariant()
    def keeps_its_error(self):
        if self.error is not None:
            assert self.state.error is self.error
        self.error = self.state.error
        if self.error is not None:
            assert self.state.phase in {Phase.STOPPING, Phase.CLOSED}
            assert not self.state.accepts_input


TestLife = Life.TestCase
