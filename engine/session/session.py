"""A session: starts a plan, feeds it, hands out what it gives, and leaves nothing behind.

The asyncio shell around `engine.session.state`. Source: FR-004, FR-008, FR-009, FR-012, SC-006.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
)
from typing import TYPE_CHECKING, Any, Final, Literal, Never, Self, cast

from engine.clock import REAL_CLOCK, Clock, clock_of
from engine.errors import (
    EdgeClosedError,
    MediaError,
    NodeError,
    RemoteMediaError,
    ResourceLimitError,
    StartupError,
    UsageError,
)
from engine.flags import FLAG_UNINTERRUPTIBLE
from engine.limits import LEDGER, admit
from engine.observe.statistics import SessionStatistics
from engine.packet import NO_METADATA, Item, Packet
from engine.payloads import PAYLOAD_TYPES
from engine.session.inputs import Input, checked_inputs, is_group, own_metadata, split_input
from engine.session.interruptions import Interruption, Interruptions
from engine.session.orders import UNANSWERED_MAX
from engine.session.places import Places
from engine.session.progress import ProgressReports
from engine.session.state import Phase, SessionState
from engine.session.steering import Steering
from engine.session.streaming import OutputStream
from engine.session.unread import UnreadWatch
from engine.wording import nodes_named

if TYPE_CHECKING:
    from types import TracebackType

    from engine.executors.contract import Progress, RunningStage
    from engine.interruption import Settlement
    from engine.payloads import Control, Payload
    from engine.plan import Plan
    from engine.session.exits import Exits
    from engine.session.hands import Interception, Tap
    from engine.session.ingress import Ingress
    from engine.steering import NodeState, ParamsTaken

logger = logging.getLogger("remotemedia.session")

#: How long stages may take to answer a control message that a node sends.
CONTROL_DEADLINE_S: Final = 1.0


class Session:
    """A running plan. Use it as an async context manager.

    Attributes:
        id: the session's id.
        plan: what it runs.
    """

    def __init__(
        self,
        plan: Plan,
        on_progress: Callable[[Progress], object] | None = None,
        *,
        session_id: str | None = None,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            plan: a valid plan.
            on_progress: the first subscriber; see the method of this name.
            session_id: what it is called, a name nobody else has; None: a new one.

        Raises:
            UsageError: `on_progress` is no plain function.
        """
        self.id = uuid.uuid4().hex if session_id is None else session_id
        self.plan = plan
        self._interruptions = Interruptions()
        self._steering = Steering(plan, self.id, self._interruptions, self._notify)
        self._progress = ProgressReports()
        if on_progress is not None:
            self._progress.subscribe(on_progress)
        self._state = SessionState(
            stage.id for stage in plan.stages if stage.worker in {"", stage.id}
        )
        self._stages: list[RunningStage] = []
        self._places: Places | None = None
        self._ingress: dict[str, Ingress] = {}
        self._only_ingress: Ingress | None = None
        self._exits: Exits | None = None
        self._changed: asyncio.Event | None = None
        #: That of the loop it is started on; everything of the session takes its time from there.
        self._now_ns: Clock = REAL_CLOCK
        self._flush_scheduled = False
        self._unread = UnreadWatch(self._outputs_taken)
        self._cause_timer: asyncio.TimerHandle | None = None
        #: Control messages of nodes on their way to those behind them.
        self._telling: set[asyncio.Task[None]] = set()
        #: So many of them at once: a stage is given no more orders than it may have unanswered.
        self._tells = asyncio.Semaphore(UNANSWERED_MAX // 2)
        self._starting: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None

    # --- lifecycle --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    def __enter__(self) -> Never:
        raise UsageError(
            "a session is entered with `async with`; without a loop, use"
            " `with pipeline.blocking_session() as session`"
        )

    def __exit__(self, *_: object) -> None:
        """There for `__enter__` to be asked."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Start every stage and wait until all operators are initialized.

        Raises:
            ResourceLimitError: a limit would be exceeded; nothing was started.
            StartupError: a worker could not be started, initialize took too long, or the session
                was ended meanwhile.
            NodeError: an operator's initialize raised, or a worker died.
            UsageError: it was started before.

        On an error, and when cancelled, everything that was started is ended again.
        """
        self._state.start()
        self._changed = asyncio.Event()
        self._now_ns = clock_of(asyncio.get_running_loop())
        try:
            admit(self, self.id, self.plan)
            self._make()
            waiting = [stage for stage in self._stages if not stage.start_nowait()]
            if waiting:
                async with asyncio.TaskGroup() as group:
                    self._starting = [group.create_task(stage.start()) for stage in waiting]
        except BaseExceptionGroup as errors:
            await self.aclose()
            cause = self._state.error or _first_cause(errors)
            if isinstance(cause, RemoteMediaError):
                self._progress.report_failed(cause)
            raise cause from cause.__cause__  # not from the group, which says no more
        except BaseException:
            await self.aclose()
            raise
        if not self._state.ready():
            await self.aclose()
            self._raise_failure()
            raise StartupError("the session was ended while it started")
        for stage in self._stages:
            stage.open()
        assert self._places is not None
        self._steering.open(self._places)

    def on_progress(self, callback: Callable[[Progress], object]) -> Callable[[], None]:
        """Have a callback told how far each node's start is; any number may be.

        It is told each node's latest step at once, as far as there is one, so that who comes late
        knows where all stand; then each further step, on the session's loop. A node that fails the
        start has "error" as its last status.

        Args:
            callback: a plain, quick function; what it raises is logged.

        Returns:
            What ends the subscription; a second call does nothing.

        Raises:
            UsageError: it cannot be called, or is a coroutine function.
        """
        return self._progress.subscribe(callback)

    async def aclose(self) -> None:
        """End the session: at once if it has not finished, and leave nothing behind.

        Bounded by twice the grace period. A second call waits for the first; a cancelled call lets
        the ending go on.
        """
        if self.close_nowait():
            return
        if self._closing is None:
            self._closing = asyncio.create_task(self._wait_stopped())
            # A callback: it comes also where the loop ends before the task has begun.
            self._closing.add_done_callback(self._finish_close)
        await asyncio.shield(self._closing)

    def close_nowait(self) -> bool:
        """End the session as `aclose` does, if nothing of that takes time.

        Nothing does where all nodes are local, none of their calls is under way, and none of their
        operators has a `cleanup` of its own. Not from within an operator.

        Returns:
            Whether nothing is left of it; otherwise it is ending, and `aclose` waits for that.
        """
        if self._state.phase is Phase.CLOSED:
            return True
        if self._closing is not None:
            return False
        self._begin_close()
        if not all(task.done() for task in self._starting):
            return False
        if not all(stage.close_nowait() for stage in self._stages):
            return False
        self._finish_close()
        return True

    def cancel(self) -> None:
        """End at once: drop what is queued. `aclose` waits until nothing is left."""
        if self._state.phase in {Phase.RUNNING, Phase.DRAINING, Phase.STARTING}:
            self._state.stop()
        if self._exits is not None:
            self._exits.close()
        self._end_all()

    def kill(self) -> None:
        """Like `cancel`, without asking workers first: SIGKILL."""
        self.cancel()
        for stage in self._stages:
            stage.kill()

    # --- input ------------------------------------------------------------------------------------

    async def send(
        self,
        payload: Payload,
        node: str | None = None,
        *,
        port: str | None = None,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
        uninterruptible: bool = False,
    ) -> int:
        """Send one packet, waiting for a credit.

        Args:
            payload: what to send.
            node: the ingress node; may be left out if there is only one.
            port: its input port; its first one by default.
            timestamp_ns: media time; by default a port's audio is laid end to end, the rest has
                the time since the session started.
            metadata: strings that travel with it.
            uninterruptible: no interrupt drops it, nor what operators make of it.

        Returns:
            Its sequence.

        Raises:
            UsageError: the node is no ingress, the port does not exist, or it is no payload.
            EdgeClosedError: the session has ended, or its input has.
            NodeError: the session has failed.

        A cancelled call has sent nothing.
        """
        ingress = self._ingress_of(node)
        item = ingress.stamp(payload, port, timestamp_ns, self.generation, own_metadata(metadata))
        if uninterruptible:
            item.origin.flags |= FLAG_UNINTERRUPTIBLE
        return await self._send(ingress, item, laid=timestamp_ns is None)

    def send_nowait(
        self,
        payload: Payload,
        node: str | None = None,
        *,
        port: str | None = None,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> int | None:
        """Send one packet if there is a credit; like `send` otherwise.

        Returns:
            Its sequence; None: there is no credit, and nothing was sent.
        """
        ingress = self._ingress_of(node)
        item = ingress.stamp(payload, port, timestamp_ns, self.generation, own_metadata(metadata))
        return item.origin.sequence if self._send_nowait(ingress, item) else None

    async def send_group(
        self,
        payloads: Mapping[str, Payload],
        node: str | None = None,
        *,
        timestamp_ns: int | Mapping[str, int] | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
        uninterruptible: bool = False,
    ) -> int:
        """Send packets for several ports of one node that belong together; like `send` otherwise.

        Args:
            payloads: input port → payload, at least one.
            node: the ingress node.
            timestamp_ns: media time of all of them, or input port → its own.
            metadata: strings that travel with each.
            uninterruptible: no interrupt drops them, nor what operators make of them.
        """
        ingress = self._ingress_of(node)
        metadata = own_metadata(metadata)
        group = ingress.stamp_group(payloads, timestamp_ns, self.generation, metadata)
        if uninterruptible:
            for packet in group:
                packet.origin.flags |= FLAG_UNINTERRUPTIBLE
        return await self._send(ingress, group, laid=timestamp_ns is None)

    @property
    def generation(self) -> int:
        """How often it has been interrupted; stamped on what is sent."""
        return self._interruptions.generation

    async def interrupt(
        self,
        scope: str | None = None,
        *,
        reason: str = "",
        deadline_s: float = 1.0,
        on_late: Literal["continue", "fail"] = "continue",
    ) -> Interruption:
        """Make stale what is under way: once this returns, nothing of it leaves the session.

        Everything sent or given before is dropped in the scope: on edges, in outboxes, timers,
        calls and state (`Operator.reset`). Coroutines are cancelled, iterators closed; synchronous
        code sees `ctx.cancelled`. What is sent from now on is not touched, nor is the end of the
        stream, nor what was sent as uninterruptible.

        Args:
            scope: a node: it and all behind it; None: all nodes.
            reason: why, for logs and for whoever asks.
            deadline_s: how long stages may take to drop what is stale, in seconds.
            on_late: what becomes of the session if one takes longer.

        Returns:
            The acknowledgement; `await ack.settled()` says what was dropped, where, and which
            stages had not answered by the deadline.

        Raises:
            UsageError: there is no such node, or the session was not started.
            RemoteMediaError: the session has failed.
        """
        self._raise_failure()
        ack = self._steering.interrupt(scope, reason, self._state.runs)
        logger.info(
            "session_interrupted",
            extra={"session_id": self.id, "scope": scope or "", "reason": reason},
        )
        self._notify()  # who waits for a credit sends something newer now
        ack.expect_by(deadline_s, lambda late: self._stages_are_late(late, deadline_s, on_late))
        return ack

    async def set_params(self, node: str, params: Mapping[str, Any]) -> ParamsTaken:
        """Change params of a running node that may change while it runs (`Operator.hot`).

        They are validated as when the node was made, and take effect all at once, or not at all,
        between two of the node's packets; of one whose calls are asynchronous, when none is open.

        Args:
            node: the node.
            params: param → its new value; the others keep theirs.

        Returns:
            All of its params as they are now, and which packet was the first that met them.

        Raises:
            UsageError: there is no such node, it has ended, one of the params may not change while
                it runs (the message says which may), or a value is not valid. Nothing was changed.
            NodeError: the operator refused; nothing was changed.
            EdgeClosedError: the node's stage ended meanwhile.
        """
        self._raise_failure()
        return await self._steering.set_params(node, params)

    async def set_node_state(self, node: str, state: NodeState) -> None:
        """Say what becomes of what comes to a node from now on.

        Args:
            node: the node.
            state: "enabled": it is processed; "bypass": it leaves by the first output as it is;
                "disabled": it is dropped. What the node has taken in goes on in any case.

        Raises:
            UsageError: there is no such node or state.
            EdgeClosedError: the node's stage ended meanwhile.
        """
        self._raise_failure()
        await self._steering.set_node_state(node, state)

    async def tap(self, node: str, port: str | None = None) -> Tap:
        """Listen to what leaves a node, wherever it runs and wherever it goes.

        It never holds the node up: who does not take what is shown in time misses some of it
        (`Tap.dropped`). An output is shown before an interception can replace it.

        Args:
            node: the node.
            port: its output port; "out", or the first one, by default.

        Raises:
            UsageError: there is no such node or port, or the node has ended.
            EdgeError: the system gives no memory or socket for it.
        """
        self._raise_failure()
        return await self._steering.tap(node, port)

    async def intercept(
        self, node: str, port: str | None = None, *, deadline_ms: float | None = None
    ) -> Interception:
        """Decide about each output of a node before it goes on: let it pass, replace or drop it.

        Order is kept. What nobody has decided about in time passes, and all passes once the
        interception is closed; so a node waits for nobody longer than this.

        Args:
            node: the node.
            port: its output port; "out", or the first one, by default.
            deadline_ms: how long each may wait, in milliseconds; 50 by default.

        Raises:
            UsageError: there is no such node or port, it is intercepted already, or has ended.
            EdgeError: the system gives no memory or socket for it.
        """
        self._raise_failure()
        return await self._steering.intercept(node, port, deadline_ms)

    async def publish(
        self,
        node: str,
        payload: Payload,
        *,
        port: str | None = None,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> int:
        """Give a node a packet beside those its inputs bring, wherever it stands in the graph.

        It waits for a credit, and is bounded, as `send` is. Its sequences are counted by
        themselves. It does not keep the node from ending once its inputs have.

        Args:
            node: the node.
            payload: what to give it.
            port: its input port; its first one by default.
            timestamp_ns: media time; by default as in `send`.
            metadata: strings that travel with it.

        Returns:
            Its sequence among those published to the node.

        Raises:
            UsageError: there is no such node or port, or it is no payload.
            EdgeClosedError: the node, or the session, has ended.
        """
        self._raise_failure()
        publisher = await self._steering.publisher(node, port)
        metadata = own_metadata(metadata)
        item = publisher.stamp(payload, port, timestamp_ns, self.generation, metadata)
        while not self._publish_nowait(publisher, item):
            await self._wait_changed()
            item.origin.generation = self.generation
        return item.origin.sequence

    def _publish_nowait(self, publisher: Ingress, item: Item) -> bool:
        self._raise_failure()
        if publisher.sender.closed or self._state.phase not in {Phase.RUNNING, Phase.DRAINING}:
            raise EdgeClosedError(
                f"nothing can be published: node {publisher.node!r} has ended", edge=""
            )
        sent = publisher.try_send(item)
        publisher.sender.flush()
        return sent

    async def control(
        self, control: Control, scope: str | None = None, *, deadline_s: float = 1.0
    ) -> Settlement:
        """Tell nodes a control message, past the data.

        A CancelSpeculation takes back what was sent before it, and has its media time in the span:
        on edges, in outboxes, calls and iterators, and at the session's exits, from where nothing
        of it comes once this has returned. Any message is told the nodes (`Operator.control`).

        Args:
            control: the message.
            scope: a node: it and all behind it; None: all nodes.
            deadline_s: how long stages may take to answer, in seconds.

        Returns:
            What was dropped, where, and which stages had not answered by then.

        Raises:
            UsageError: there is no such node, or it is no Control.
        """
        self._raise_failure()
        return await self._steering.control(control, scope, itself=True, deadline_s=deadline_s)

    async def end_input(self) -> None:
        """Say that nothing more will be sent: operators are flushed, the rest comes out."""
        if self._state.input_ended():
            for ingress in self._ingress.values():
                ingress.sender.finish()
            self._notify()

    # --- output -----------------------------------------------------------------------------------

    def stream(self, inputs: Iterable[Input] | AsyncIterable[Input]) -> OutputStream:
        """Send the inputs and yield the outputs as they come; ends when everything has come out.

        Args:
            inputs: payloads; payloads by input port, as a dict, that belong together; or
                (node, input) pairs where there are several ingress nodes. They are taken only as
                fast as the pipeline takes them.

        Raises:
            EdgeClosedError: `aclose`, `cancel` or `kill` ended the session before everything had
                come out.
            RemoteMediaError: the session failed, or an input cannot be sent.
        """
        return OutputStream(self._stream(inputs))

    async def _stream(
        self, inputs: Iterable[Input] | AsyncIterable[Input]
    ) -> AsyncGenerator[Packet]:
        sending = asyncio.create_task(self._send_all(inputs))
        sending.add_done_callback(lambda _: self._notify())
        try:
            while True:
                packet = self.receive_nowait()
                if packet is not None:
                    yield packet
                    continue
                if sending.done() and (sending.cancelled() or sending.exception() is not None):
                    self._raise_failure()
                    await sending
                if self._is_over():
                    break
                with self._unread.reader_waits():
                    await self._wait_changed()
            self._raise_failure()
            if self._exits is not None and self._exits.cut:
                raise EdgeClosedError(
                    f"the session was closed while `stream` ran: {self._exits.received} outputs had"
                    " come out, what was under way is lost; read the stream to its end first",
                    edge="",
                )
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def outputs(self) -> AsyncIterator[Packet]:
        """Yield the outputs until everything has come out; `send` and `end_input` give the input.

        Raises:
            RemoteMediaError: the session failed.
        """
        while (packet := await self.receive()) is not None:
            yield packet

    async def receive(self) -> Packet | None:
        """The next output, or None once everything has come out.

        Raises:
            RemoteMediaError: the session failed; outputs that had left before come first.

        A cancelled call loses nothing.
        """
        while True:
            packet = self.receive_nowait()
            if packet is not None:
                return packet
            if self._is_over():
                self._raise_failure()
                return None
            with self._unread.reader_waits():
                await self._wait_changed()

    def receive_nowait(self) -> Packet | None:
        """The next output, or None if there is none now.

        Raises:
            UsageError: the session was not started.
        """
        if self._exits is None:
            if self._state.phase is Phase.CREATED:
                raise UsageError("start the session first: async with pipeline.session() as s")
            return None
        packet = self._exits.try_receive()
        if packet is None:
            self._unread.reads_in_vain += 1
        elif not self._flush_scheduled:
            self._schedule_flush()
        return packet

    def statistics(self) -> SessionStatistics:
        """A snapshot of the counts of the session, its stages and its edges.

        They stay readable, as they last were, once the session is closed.
        """
        hops = {edge: times for stage in self._stages for edge, times in stage.hop_times().items()}
        finished, places = self._state.all_finished, self._places
        edges = places.wiring.statistics(hops, all_finished=finished) if places is not None else {}
        return SessionStatistics.of(self.id, self._outputs_taken(), self._stages, edges)

    @property
    def phase(self) -> str:
        """Where the session is, as a word: "running", "draining", "finished" and so on."""
        return self._state.phase.value

    @property
    def stages(self) -> tuple[RunningStage, ...]:
        """The stages in their places, with their pids."""
        return tuple(self._stages)

    # --- reports of the stages --------------------------------------------------------------------

    def stage_progress(self, progress: Progress) -> None:
        """See `engine.executors.contract.StageOwner`."""
        self._progress.report(progress)

    def stage_interrupted(self, stage: RunningStage, settlement: Settlement) -> None:
        """See `engine.executors.contract.StageOwner`."""
        self._interruptions.stage_settled(stage.plan.id, settlement)

    def stage_steered(
        self, stage: RunningStage, number: int, outcome: Mapping[str, Any] | RemoteMediaError
    ) -> None:
        """See `engine.executors.contract.StageOwner`."""
        del stage
        self._steering.answered(number, outcome)

    def stage_controls(self, node_id: str, control: Control) -> None:
        """See `engine.executors.contract.StageOwner`."""
        telling = asyncio.get_running_loop().create_task(self._tell(node_id, control))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tell(self, node_id: str, control: Control) -> None:
        """Tell all behind a node what it says; nobody waits for an answer."""
        with contextlib.suppress(RemoteMediaError):  # the session has not begun, or has ended
            async with self._tells:
                await self._steering.control(
                    control, node_id, itself=False, deadline_s=CONTROL_DEADLINE_S
                )

    def stage_finished(self, stage: RunningStage) -> None:
        """See `engine.executors.contract.StageOwner`."""
        self._state.stage_finished(stage.plan.id)
        self._stage_gone(stage)
        self._notify()

    def stage_failed(self, stage: RunningStage, error: RemoteMediaError) -> None:
        """See `engine.executors.contract.StageOwner`."""
        self._stage_gone(stage)
        self._part_failed(stage.plan.id, error)

    # --- inside -----------------------------------------------------------------------------------

    def _stage_gone(self, stage: RunningStage) -> None:
        self._interruptions.stage_gone(stage.plan.id)
        self._steering.stage_gone(stage.plan.id)

    def _make(self) -> None:
        """Make edges and stages; workers begin to start, all at once."""
        self._places = places = Places(self.plan, self.id, self._now_ns)
        self._stages = places.stages
        places.make(self, self._notify)
        self._exits = places.exits
        self._ingress = places.ingress
        if len(self._ingress) == 1:
            self._only_ingress = next(iter(self._ingress.values()))

    def _stages_are_late(self, late: tuple[str, ...], deadline_s: float, on_late: str) -> None:
        if self._state.phase not in {Phase.RUNNING, Phase.DRAINING}:
            return
        text = f"{nodes_named(late)} had not answered an interrupt after {deadline_s:g} s"
        logger.warning("interrupt_late: %s", text, extra={"session_id": self.id})
        if on_late == "fail":
            error = NodeError(
                f"{text}; it computes without looking at ctx.cancelled, or is stopped",
                node_id=late[0],
                node_ids=list(late),
            )
            self._part_failed(late[0], error)

    def _ingress_of(self, node: str | None) -> Ingress:
        if node is None:
            if self._only_ingress is not None:
                return self._only_ingress
            if not self._ingress:
                raise UsageError("nothing takes an input; start the session first")
            first = next(iter(self._ingress))
            raise UsageError(
                f"say which node the input is for, as in ({first!r}, payload); ingress nodes:"
                f" {', '.join(self._ingress)}; to feed all of them, put one node before them"
            )
        ingress = self._ingress.get(node)
        if ingress is None:
            known = ", ".join(self._ingress) or "none; start the session first"
            raise UsageError(f"node {node!r} takes no input from outside; ingress nodes: {known}")
        return ingress

    async def _send(self, ingress: Ingress, item: Item, *, laid: bool = True) -> int:
        """Send it; where its audio is laid end to end, behind what others send meanwhile."""
        if not self._send_nowait(ingress, item):
            with self._unread.sender_waits():
                while not self._send_nowait(ingress, item):
                    await self._wait_changed()
                    ingress.renew(item, self.generation)  # it has not entered yet
                    if laid:
                        ingress.lay(item)
        if ingress.sender.closed:
            await asyncio.sleep(0)  # nothing else would let the loop go on, and the session end
        return item.origin.sequence

    def _send_nowait(self, ingress: Ingress, item: Item) -> bool:
        """Send if there is a credit."""
        if not self._state.accepts_input:
            self._raise_failure()
            raise EdgeClosedError(f"nothing can be sent: the session is {self.phase}", edge="")
        if not ingress.try_send(item):
            return False
        if not self._flush_scheduled:
            self._schedule_flush()
        return True

    async def _send_all(self, inputs: Iterable[Input] | AsyncIterable[Input]) -> None:
        checked_inputs(inputs)
        try:
            if isinstance(inputs, AsyncIterable):
                async for item in inputs:
                    ingress, packet = self._stamp(item)
                    await self._send(ingress, packet)
            else:
                state = self._state
                for item in inputs:
                    ingress, packet = self._stamp(item)
                    # The common case of _send: no coroutine, and no call of ours, per packet.
                    if not state.accepts_input or not ingress.try_send(packet):
                        await self._send(ingress, packet)
                    elif not self._flush_scheduled:
                        self._schedule_flush()
                        if ingress.sender.closed:  # it is only while the loop runs that it closes
                            await asyncio.sleep(0)
        except EdgeClosedError:
            # A pipeline that takes only so much finishes early; the rest of the input has no taker.
            if self._state.phase is not Phase.FINISHED:
                raise
        await self.end_input()

    def _stamp(self, item: Input) -> tuple[Ingress, Item]:
        generation = self._interruptions.generation  # without the property's call
        ingress = self._only_ingress
        if ingress is not None and type(item) in PAYLOAD_TYPES:  # the common case
            payload = cast("Payload", item)
            return ingress, ingress.stamp(payload, None, None, generation, NO_METADATA)
        node, value = split_input(item)
        if ingress is None or node is not None:
            ingress = self._ingress_of(node)
        if is_group(value):
            return ingress, ingress.stamp_group(value, None, generation, NO_METADATA)
        return ingress, ingress.stamp(value, None, None, generation, NO_METADATA)

    async def _wait_changed(self) -> None:
        changed = self._changed
        assert changed is not None
        changed.clear()
        self._flush()
        await changed.wait()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()

    def _schedule_flush(self) -> None:
        """Ring the doorbells at the end of this loop iteration, once for all that is sent in it."""
        self._flush_scheduled = True
        asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        for ingress in self._ingress.values():
            ingress.sender.flush()
        if self._exits is not None:
            self._exits.flush()

    def _is_over(self) -> bool:
        """Whether no output can come any more."""
        if self._exits is not None and self._exits.error is not None:
            self._part_failed("exit", self._exits.error)
        if self._state.phase in {Phase.STOPPING, Phase.CLOSED}:
            return True
        # A worker says over its lane that it has finished; the last packets come over the edges.
        finished = self._state.phase is Phase.FINISHED
        return finished and self._exits is not None and self._exits.ended

    def _part_failed(self, part: str, error: RemoteMediaError) -> None:
        if self._state.failed(error, self._now_ns()):
            self._end_all()
        else:
            logger.debug("part_failed_too", extra={"part": part, "reason": error.message})
            self._await_cause()

    def _await_cause(self) -> None:
        due_ns = self._state.next_due_ns()
        if due_ns is not None and self._cause_timer is None:
            loop = asyncio.get_running_loop()
            self._cause_timer = loop.call_at(due_ns / 1e9 + 1e-3, self._give_up_waiting)
            if any(stage.pid for stage in self._stages):
                from engine.executors.process import ask_workers

                ask_workers(self.id)

    def _give_up_waiting(self) -> None:
        if self._state.tick(self._now_ns()):
            self._end_all()

    def _end_all(self) -> None:
        for task in self._starting:
            task.cancel()
        for stage in self._stages:
            stage.stop()
        self._steering.end()
        self._notify()

    def _outputs_taken(self) -> int:
        return self._exits.received if self._exits is not None else 0

    def _raise_failure(self) -> None:
        if self._state.error is not None:
            raise self._state.error

    def _begin_close(self) -> None:
        if self._state.phase is not Phase.FINISHED:
            self._end_all()
        self._state.stop()
        self._notify()
        if self._cause_timer is not None:
            self._cause_timer.cancel()
        if self._exits is not None:
            self._exits.close()  # so that no producer waits for us to take the rest

    def _finish_close(self, _: asyncio.Task[None] | None = None) -> None:
        for stage in self._stages:
            self._stage_gone(stage)
        self._steering.close()
        if self._places is not None:
            self._places.wiring.close()
        LEDGER.end(self.id)
        self._state.closed()
        self._notify()

    async def _wait_stopped(self) -> None:
        if self._starting:
            await asyncio.wait(self._starting)
        results = await asyncio.gather(
            *(stage.wait_stopped() for stage in self._stages), return_exceptions=True
        )
        for stage, result in zip(self._stages, results, strict=True):
            if isinstance(result, BaseException):
                logger.error(
                    "stage_not_stopped", extra={"stage": stage.plan.id, "reason": repr(result)}
                )


def _first_cause(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error of a failed start that explains the others."""
    flat: list[BaseException] = []
    pending: list[BaseException] = [errors]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            flat.append(error)
    explaining = NodeError | MediaError | UsageError | ResourceLimitError
    causes = [error for error in flat if isinstance(error, explaining)]
    consequences = EdgeClosedError
    return next(iter(causes), next((e for e in flat if not isinstance(e, consequences)), flat[0]))
