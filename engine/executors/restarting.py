"""Runs a stage in a worker that is replaced by another one when it fails. Source: FR-008, NFR-005.

Between the session's edges and the worker's own stands a relay, on the session's loop. It keeps the
packet that the worker has, so that the next worker can be given it again:

    edges of the plan ──▶ ┌───────┐ ── one packet at a time ──▶ ┌────────┐
                          │ relay │                             │ worker │  and, after it, the next
    edges of the plan ◀── └───────┘ ◀───────────────────────────└────────┘

A packet is with the worker until its turn has ended and all it caused has gone on. What has gone on
by the time the worker fails is counted, and skipped when the next worker repeats the turn, so that
it comes out once. A packet that two workers in a row failed with is dropped, with a warning; what
had gone on of it stays, and the next packet on each out edge carries FLAG_GAP.

The price is a hop through the session's loop each way, and that a packet waits for the turn of the
one before it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.edges.overflow import discard_waiting
from engine.errors import (
    EdgeClosedError,
    EdgeError,
    EdgeOverflowError,
    NodeError,
    PeerDiedError,
    RemoteMediaError,
    UsageError,
)
from engine.executors.contract import Progress
from engine.executors.relay_steering import RelaySteering, span_of
from engine.executors.relay_turns import Lineage, RelayInput, RelayOutput, RelayTurn
from engine.executors.relayed_worker import RelayedWorker
from engine.interruption import Settlement, older_than
from engine.observe.statistics import NodeStatistics, StageStatistics
from engine.packet import Group, Packet
from engine.stage_steering import HandEnds
from engine.steering import Attach, Detach, Tell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.clock import Clock
    from engine.config import Settings
    from engine.edges.contract import EdgeReceiver, EdgeSender, EdgeStatistics
    from engine.edges.hop_times import HopTimes
    from engine.executors.contract import Hand, RunningStage, StageOwner
    from engine.interruption import Interrupt, Unwanted
    from engine.packet import Item
    from engine.payloads import Control
    from engine.plan import EdgePlan, StagePlan
    from engine.steering import Order

logger = logging.getLogger("remotemedia.session")

#: A pause grows no longer than this.
_BACKOFF_MS_MAX = 30_000
#: A packet that so many workers in a row failed with is dropped.
_FAILURES_MAX = 2


class RestartingStage:
    """A stage in one worker after the other, see `engine.executors.contract.RunningStage`."""

    def __init__(
        self,
        plan: StagePlan,
        session_id: str,
        owner: StageOwner,
        receivers: Sequence[tuple[EdgePlan, EdgeReceiver]],
        senders: Sequence[tuple[EdgePlan, EdgeSender]],
        settings: Settings,
        now_ns: Clock,
    ) -> None:
        """Prepare; nothing is spawned yet.

        Args:
            plan: the stage, of one node that has a restart rule.
            session_id: the session it belongs to.
            owner: who it reports to.
            receivers: its in edges, which end here.
            senders: its out edges, which begin here.
            settings: the session's.
            now_ns: the session's clock.

        Raises:
            EdgeError: the system gives no shared memory, or no socket.
            SpawnError: this platform has no process executor.
        """
        (node,) = plan.nodes
        assert node.restart is not None
        self.plan = plan
        self.node_ids = (node.id,)
        self.local = True
        self._node_id = node.id
        self._rule = node.restart
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._inputs = deque(RelayInput(edge, receiver) for edge, receiver in receivers)
        self._outputs = [RelayOutput(edge, sender) for edge, sender in senders]
        self._hire: Callable[[], RelayedWorker] = functools.partial(
            RelayedWorker,
            plan,
            [edge for edge, _ in receivers],
            [each.edge for each in self._outputs],
            session_id,
            self,
            settings,
            now_ns,
        )
        self._lineage = Lineage()
        self._turn: RelayTurn | None = None
        self._received = 0
        self._restarts = 0
        #: Workers in a row that ended no turn; the pause before the next one doubles with them.
        self._fruitless = 0
        self._dropped = 0
        self._steering = RelaySteering(node.id)
        #: What every worker is told: the last interrupt that its node was in the scope of, and the
        #: last one; and what the last one has dropped on this side, by edge.
        self._interrupts: list[Interrupt] = []
        self._dropped_here: Counter[str] = Counter()
        self._running = False
        self._scheduled = False
        self._ended = False
        #: Set whenever something may have gone on.
        self._moved = asyncio.Event()
        self._replacing: asyncio.Task[None] | None = None
        self._worker = self._hire_one()
        for each in self._inputs:
            each.receiver.on_readable = self._wake
        for output in self._outputs:
            output.sender.on_credit = self._wake

    # --- see RunningStage -------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The present worker's process id; 0 before it is known."""
        return self._worker.stage.pid

    @property
    def cpu_ns(self) -> int | None:
        """That of the last worker."""
        return self._worker.stage.cpu_ns

    def spawn(self) -> None:
        """Ask for the first worker, without waiting for it; a second call does nothing."""
        self._worker.spawn()

    def start_nowait(self) -> bool:
        return False

    async def start(self) -> None:
        self.spawn()
        await self._worker.stage.start()

    def open(self) -> None:
        self._running = True
        self._worker.stage.open()
        self._wake()

    def interrupt(self, interrupt: Interrupt) -> None:
        covered = self._node_id in interrupt.nodes
        still = [] if covered else [old for old in self._interrupts if self._node_id in old.nodes]
        self._interrupts = [*still, interrupt]
        self._dropped_here = Counter()
        if covered:
            self._dropped_here = self._discard(older_than(interrupt.generation))
        self._lineage.carry_on(interrupt.generation)
        self._worker.stage.interrupt(interrupt)
        if self._replacing is not None:  # one is dead, the other has taken nothing and may be long
            self._owner.stage_interrupted(self, self._settled_here(interrupt.generation))
        self._wake()

    def steer(self, number: int, order: Order, hand: Hand | None = None) -> None:
        ends = HandEnds() if hand is None else hand.ends()
        self._loop.call_soon(self._carry_out, number, order, ends)

    def _carry_out(self, number: int, order: Order, ends: HandEnds) -> None:
        match order:
            case Attach() | Detach():
                outcome: Mapping[str, Any] | RemoteMediaError = {}
                try:
                    self._attach_or_detach(order, ends)
                except RemoteMediaError as error:
                    outcome = error
                self._owner.stage_steered(self, number, outcome)
                self._wake()
                return
            case Tell():
                span = span_of(order)
                dropped = Counter() if span is None else self._discard(span)
                self._steering.dropped[number] = dropped
        if self._ended:
            ended = UsageError(f"node {self._node_id!r} has ended", node_id=self._node_id)
            self._owner.stage_steered(self, number, ended)
            return
        self._steering.open[number] = order
        if self._worker.error is None:  # else the next one is told
            try:
                self._worker.stage.steer(number, order)
            except UsageError as error:  # it cannot cross
                del self._steering.open[number]
                self._owner.stage_steered(self, number, error)

    def _attach_or_detach(self, order: Attach | Detach, ends: HandEnds) -> None:
        if self._ended:
            raise UsageError(f"node {self._node_id!r} has ended", node_id=self._node_id)
        if isinstance(order, Detach):
            self._steering.detach(order.hand_id)
        elif order.kind == "publish":
            assert ends.gives is not None
            ends.gives.on_readable = self._wake
            self._inputs.append(RelayInput(None, ends.gives))
        elif order.kind == "tap":
            assert ends.shows is not None
            self._steering.tap(order, ends.shows, [each.edge.source_port for each in self._outputs])
        else:
            raise UsageError(
                f"the outputs of node {self._node_id!r} cannot be intercepted, since it may be"
                " started again (restart) and then gives some of them twice; intercept those of a"
                " node behind it",
                node_id=self._node_id,
            )

    def _discard(self, unwanted: Unwanted) -> Counter[str]:
        """Drop what is not wanted before the worker and behind it; how many, by edge."""
        dropped: Counter[str] = Counter()
        for each in self._inputs:
            dropped[each.receiver.edge_id] += each.receiver.discard(unwanted)
        for output in self._outputs:
            receiver = self._worker.receivers[output.edge.id]
            dropped[output.edge.id] += discard_waiting(output.sender, unwanted)
            if output.waiting is not None and unwanted(output.waiting.origin):
                output.waiting = None
                receiver.release()
                dropped[output.edge.id] += 1
            if not self._worker.closed:
                dropped[output.edge.id] += receiver.discard(unwanted)
        return dropped

    def stop(self) -> None:
        self._end()
        self._worker.stage.stop()

    def kill(self) -> None:
        self._end()
        self._worker.stage.kill()

    def close_nowait(self) -> bool:
        return False

    async def wait_stopped(self) -> None:
        self._end()
        if self._replacing is not None:
            await asyncio.wait([self._replacing])
        try:
            await self._worker.stage.wait_stopped()
        finally:
            self._worker.close()

    def hop_times(self) -> Mapping[str, HopTimes]:
        return {}  # the plan's edges are received on the session's loop

    def statistics(self) -> Mapping[str, StageStatistics]:
        """Stage id → counts; times and turns are those of the last worker."""
        last = self._worker.stage.statistics()[self.plan.id]
        times = last.nodes.get(self._node_id, NodeStatistics())
        emitted = sum(output.emitted for output in self._outputs)
        node = replace(times, received=self._received, emitted=emitted)
        nodes = {self._node_id: node}
        return {
            self.plan.id: replace(last, nodes=nodes, restarts=self._restarts, dropped=self._dropped)
        }

    def edge_statistics(self) -> Mapping[str, EdgeStatistics]:
        return {}

    # --- reports of the worker, see StageOwner ----------------------------------------------------

    def stage_progress(self, progress: Progress) -> None:
        """See `engine.executors.contract.StageOwner`."""
        self._owner.stage_progress(progress)

    def stage_finished(self, stage: RunningStage) -> None:
        """The worker has finished; what it sent last may still be on its way."""
        if stage is self._worker.stage:
            self._worker.finished = True
            self._wake()

    def stage_interrupted(self, stage: RunningStage, settlement: Settlement) -> None:
        """See `engine.executors.contract.StageOwner`."""
        del stage
        settled = self._settled_here(settlement.generation)
        settled.add(settlement)
        self._owner.stage_interrupted(self, settled)

    def _settled_here(self, generation: int) -> Settlement:
        settlement = Settlement(generation)
        settlement.add_dropped(self._dropped_here)
        return settlement

    def stage_steered(
        self, stage: RunningStage, number: int, outcome: Mapping[str, Any] | RemoteMediaError
    ) -> None:
        """See `engine.executors.contract.StageOwner`; what a dead one says, the next one will."""
        if stage is self._worker.stage and self._worker.error is None:
            inputs = {each.edge.id: each for each in self._inputs if each.edge is not None}
            told = self._steering.answered(number, outcome, inputs)
            if told is not None:
                self._owner.stage_steered(self, number, told)

    def stage_controls(self, node_id: str, control: Control) -> None:
        """See `engine.executors.contract.StageOwner`."""
        self._owner.stage_controls(node_id, control)

    def stage_failed(self, stage: RunningStage, error: RemoteMediaError) -> None:
        """A worker that was ready has failed."""
        if stage is not self._worker.stage or self._ended:
            return
        self._worker.error = error
        if self._replacing is None:
            self._replacing = asyncio.create_task(self._replace_until_ready())

    # --- another worker ---------------------------------------------------------------------------

    async def _replace_until_ready(self) -> None:
        try:
            while (error := self._worker.error) is not None:
                if self._restarts >= self._rule.max:
                    self._worker.wiring.poll()
                    self._move_outputs()
                    raise _said_last(error, self._restarts)
                await self._replace(error)
                try:
                    await self._worker.stage.start()
                except RemoteMediaError as failure:
                    self._worker.error = failure
        except RemoteMediaError as error:
            self._replacing = None
            self._fail(error)
        except Exception as error:  # or the session would wait for ever
            logger.exception("restart_raised", extra={"node_id": self._node_id})
            self._replacing = None
            self._break("could not be started again", error)
        else:
            self._replacing = None
            self._worker.stage.open()
            self._wake()

    async def _replace(self, error: RemoteMediaError) -> None:
        """Take what a failed worker has given, see it gone, and ask for the next one."""
        pause_ms = min(self._rule.backoff_ms << self._fruitless, _BACKOFF_MS_MAX)
        self._fruitless += 1
        self._restarts += 1
        text = f"restart {self._restarts} of {self._rule.max} in {pause_ms} ms: {error.message}"
        logger.warning(
            "node_restarts: %s: %s", self._node_id, text, extra={"node_id": self._node_id}
        )
        self._owner.stage_progress(Progress(self._node_id, "restarting", 0.0, text))
        old = self._worker
        await old.stage.wait_stopped()
        old.wiring.poll()
        await self._outputs_gone_on()
        self._look_at_turn(error)
        self._flush()  # or what has gone on would lie here until the next one is ready
        old.close()
        await asyncio.sleep(pause_ms / 1e3)
        self._worker = self._hire_one()
        self._worker.spawn()
        for interrupt in self._interrupts:
            self._worker.stage.interrupt(interrupt)
        for number, order in self._steering.for_next_worker():
            self._worker.stage.steer(number, order)
        for each in self._inputs:
            again = self._turn is not None and self._turn.input is each
            each.begin_worker(each.receiver.next_seq - again)
        for output in self._outputs:
            output.skipped = output.emitted_in_turn
        self._lineage.begin_worker()

    def _hire_one(self) -> RelayedWorker:
        worker = self._hire()
        for receiver in worker.receivers.values():
            receiver.on_readable = self._wake
        for edge_id, sender in worker.senders.items():
            sender.on_credit = functools.partial(self._credit_came, worker, edge_id)
        return worker

    async def _outputs_gone_on(self) -> None:
        """Wait until the session's edges have taken all that the worker gave."""
        while self._move_outputs():
            self._moved.clear()
            await self._moved.wait()

    def _look_at_turn(self, error: RemoteMediaError) -> None:
        """Decide what becomes of the packet that a failed worker had."""
        turn = self._turn
        if turn is None or not turn.sent:
            return
        if turn.settled:
            self._end_turn(turn)
            return
        turn.sent = False
        turn.failures += 1
        if turn.failures < _FAILURES_MAX:
            return
        sequence = turn.item.origin.sequence
        text = f"packet {sequence} is dropped: {turn.failures} processes in a row failed with it"
        logger.warning(
            "packet_dropped: %s: %s: %s",
            self._node_id,
            text,
            error.message,
            extra={"node_id": self._node_id, "sequence": sequence},
        )
        self._owner.stage_progress(Progress(self._node_id, "dropped", 0.0, text))
        self._dropped += 1
        self._end_turn(turn)
        for output in self._outputs:
            output.gap = True

    # --- the relay --------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._scheduled and not self._ended:
            self._scheduled = True
            self._loop.call_soon(self._move)

    def _credit_came(self, worker: RelayedWorker, edge_id: str) -> None:
        """A credit of a worker's edge is back; of a dead worker's, all come back at once."""
        turn = self._turn
        if turn is not None and turn.edge_id == edge_id and worker is self._worker:
            turn.settled |= turn.sent and not worker.senders[edge_id].closed
        self._wake()

    def _move(self) -> None:
        """Move what can be moved; called again when something has come, or a credit is back."""
        self._scheduled = False
        if self._ended or self._worker.closed:
            return
        try:
            self._move_outputs()
            if self._running and self._replacing is None:
                self._go_on()
        except RemoteMediaError as error:
            self._fail(error)
            return
        except Exception as error:  # or the session would wait for ever
            logger.exception("relay_raised", extra={"node_id": self._node_id})
            self._break("broke in the relay before its process", error)
            return
        self._flush()
        self._moved.set()

    def _flush(self) -> None:
        """Ring the doorbells for what was sent and released."""
        self._worker.flush()
        for each in self._inputs:
            each.receiver.flush()
        for output in self._outputs:
            output.sender.flush()
        self._steering.flush()

    def _go_on(self) -> None:
        turn = self._turn
        if turn is not None and turn.settled:
            self._fruitless = 0
            # What the turn gave was sent before its credit: it is here, or waits in the socket.
            self._worker.wiring.poll()
            if self._move_outputs():
                return
            self._end_turn(turn)
        if self._turn is None:
            self._turn = self._next_turn()
        if self._turn is not None and not self._turn.sent:
            self._give(self._turn)
        if self._worker.finished and not self._move_outputs() and self._worker.outputs_ended:
            self._finish()

    def _move_outputs(self) -> bool:
        """Let outputs go on, as far as there are credits; whether some are left."""
        left = False
        for output in self._outputs:
            receiver = self._worker.receivers[output.edge.id]
            if output.sender.closed:
                receiver.close()
            if receiver.error is not None and not _follows_from_an_end(receiver.error):
                raise receiver.error
            while output.waiting is not None or receiver.readable:
                if output.waiting is None:
                    output.waiting = self._taken(receiver)
                if output.waiting is None:
                    break
                if not self._emit(output, output.waiting):
                    left = True
                    break
                output.waiting = None
                receiver.release()
        return left

    def _taken(self, receiver: EdgeReceiver) -> Packet | None:
        item = receiver.try_receive()
        if item is None:
            return None
        assert isinstance(item, Packet), item
        return self._lineage.of(item, self._turn)

    def _emit(self, output: RelayOutput, packet: Packet) -> bool:
        """Let one output go on, unless it is the repetition of one that has."""
        if output.skipped:
            output.skipped -= 1
            return True
        try:
            if not output.sender.try_send(output.marked(packet)):
                return False
        except EdgeOverflowError:
            raise
        except EdgeError as error:
            sequence = packet.origin.sequence
            raise NodeError.of(self._node_id, error, during="process", sequence=sequence) from error
        if self._is_first_of_its_port(output):
            self._steering.show(output.edge.source_port, packet)
        output.gap = False
        output.emitted += 1
        output.emitted_in_turn += 1
        self._lineage.went_on(packet, self._turn)
        return True

    def _is_first_of_its_port(self, output: RelayOutput) -> bool:
        port = output.edge.source_port
        return output is next(each for each in self._outputs if each.edge.source_port == port)

    def _next_turn(self) -> RelayTurn | None:
        """The next packet, of the inputs in turn; the worker is told of those that have ended."""
        ended: list[RelayInput] = []
        open_ = any(each.edge is not None and not each.finished for each in self._inputs)
        for _ in range(len(self._inputs)):
            candidate = self._inputs[0]
            self._inputs.rotate(-1)
            edge = candidate.edge
            if edge is None and not open_:
                continue  # too late: the worker is about to finish
            if edge is not None and self._worker.senders[edge.id].closed:
                continue  # it is about to finish, or to be found dead
            item = candidate.receiver.try_receive()
            if item is not None:
                return RelayTurn(candidate, item, self._edge_of(candidate, item))
            if edge is not None and candidate.receiver.error is not None:
                raise candidate.receiver.error
            if edge is not None and candidate.receiver.ended:
                ended.append(candidate)
        # Only now that nothing is there that was published: the worker flushes behind the last end.
        for each in ended:
            assert each.edge is not None
            each.finished = True
            self._worker.senders[each.edge.id].finish()
        return None

    def _edge_of(self, taken: RelayInput, item: Item) -> str:
        """The plan's edge by which the worker gets an item."""
        if taken.edge is not None:
            return taken.edge.id
        assert isinstance(item, Packet)
        for each in self._inputs:
            if each.edge is not None and each.edge.target_port in {"", item.port}:
                return each.edge.id
        raise NodeError(
            f"what is published to port {item.port!r} of node {self._node_id!r} cannot reach it:"
            " nothing is connected to that port, and the node may be started again (restart)",
            node_id=self._node_id,
        )

    def _give(self, turn: RelayTurn) -> None:
        """Give the worker a packet; again, if a worker before it failed with it."""
        sender = self._worker.senders[turn.edge_id]
        if sender.closed:
            return
        if not turn.failures:
            self._begin_outputs()
        try:
            turn.sent = sender.try_send(turn.item)
        except EdgeError as error:
            sequence = turn.item.origin.sequence
            raise NodeError.of(
                self._node_id, error, during="taking a packet", sequence=sequence
            ) from error
        if not turn.sent:
            return
        given_by = next(
            each for each in self._inputs if each.edge is not None and each.edge.id == turn.edge_id
        )
        given_by.note_given(fed=turn.input.edge is None)
        if not sender.ready:  # being asked, it says when the credit is back
            self._lineage.given(turn)

    def _end_turn(self, turn: RelayTurn) -> None:
        self._lineage.end_turn(turn)
        self._received += len(turn.item.members) if isinstance(turn.item, Group) else 1
        turn.input.receiver.release()
        self._turn = None
        self._begin_outputs()

    def _begin_outputs(self) -> None:
        """What comes out from now on belongs to another packet, or to the end."""
        for output in self._outputs:
            output.emitted_in_turn = output.skipped = 0

    # --- the end ----------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The worker has finished, and all it gave has gone on."""
        for output in self._outputs:
            output.sender.finish()
        if self._turn is not None:
            self._end_turn(self._turn)
        self._leave()
        self._owner.stage_finished(self)

    def _fail(self, error: RemoteMediaError) -> None:
        if not self._ended:
            self._end()
            self._owner.stage_failed(self, error)

    def _break(self, what: str, cause: Exception) -> None:
        """Fail for something that should not happen."""
        text = f"node {self._node_id!r} {what}: {cause!r}"
        error = NodeError(text, node_id=self._node_id)
        error.__cause__ = cause
        self._fail(error)

    def _end(self) -> None:
        """End at once: nothing is moved any more, and no other worker begins."""
        if self._ended:
            return
        if self._replacing is not None:
            self._replacing.cancel()
        error = EdgeClosedError(f"stage {self.plan.id!r} was ended", edge="", stage=self.plan.id)
        for output in self._outputs:
            output.sender.fail(error)
        self._leave()

    def _leave(self) -> None:
        self._ended = True
        self._steering.end()
        for each in self._inputs:
            each.receiver.close()
        self._flush()
        self._moved.set()


def _said_last(error: RemoteMediaError, restarts: int) -> RemoteMediaError:
    """The failure that no other worker follows, saying so."""
    times = f"{restarts} restart{'' if restarts == 1 else 's'}"
    error.message = f"{error.message}, after {times} (restart.max)"
    error.args = (error.message,)
    return error


def _follows_from_an_end(error: EdgeError) -> bool:
    """Whether it only says that the worker has ended, which it says itself, and better."""
    return isinstance(error, PeerDiedError | EdgeClosedError)
