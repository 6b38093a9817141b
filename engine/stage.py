"""A stage: nodes fused in one place, fed one stimulus at a time.

Pure: no asyncio, no clock, no thread; a host of a few lines drives it (`engine.hosts`,
`engine.testing`).
Source: FR-007, FR-012, NFR-003.

    receivers ──▶ entry ──▶ adapter ──▶ outlet ──▶ adapter ──▶ outlet ──▶ exit ──▶ sender
        ▲                                                                  │
        └───────────── the ticket returns the credit once all has left ────┘

A turn is one stimulus and everything it causes, pushed depth first. A stimulus is admitted only
while every exit's queue is empty, so whatever emits never waits for a credit: the stage waits
instead, and with it its clock. In order of precedence: an interrupt, a suspended iterator, a flush,
a posted emission, a finished call, a due timer, then the inputs in turn, each its packets and then
its end. Before all but the first comes what an interception has let pass.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from engine.context import COMPLETE, ParamsChange
from engine.errors import EdgeClosedError, RemoteMediaError
from engine.interruption import (
    ANNOUNCED,
    CANCELLED,
    SPAN_REMEMBERED_NS,
    SPANS_MAX,
    STALE_BELOW,
    WORDS,
    CancelledSpan,
    Interrupt,
    Settlement,
    is_stale,
    older_than,
)
from engine.observe.statistics import StageStatistics
from engine.packet import Group
from engine.payloads import CancelSpeculation
from engine.stage_ends import Ticket
from engine.stage_timer import Timer
from engine.stage_waiting import waiting_of

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSequence, Sequence

    from engine.adapters import OperatorAdapter
    from engine.interruption import Unwanted
    from engine.packet import Item
    from engine.payloads import Control
    from engine.stage_ends import Entry, Exit
    from engine.stage_hands import Interception, Tap
    from engine.stage_host import StageHost
    from engine.stage_waiting import Waiting

#: A turn slower than this makes the stage ring doorbells after each for a while, see `Stage.run`.
SLOW_TURN_NS = 100_000
#: How long a run goes on; the turn under way at its end, and the loop's own steps, come on top.
SLICE_NS = 800_000
#: For how many turns after a slow one.
SLOW_TURNS_REMEMBERED = 64


class Stage:
    """Runs the adapters of one stage.

    Use `engine.compile.compile_stage` to make one.

    Attributes:
        ticket: the ticket of the turn that is being pushed.
        outbox: packets waiting in the exits.
        words: see `engine.interruption`; a list, or the words of a worker's control page.
        generation: the generation whose interrupt has been applied.
        error: why it failed, or None.
        done: nothing will be taken or sent any more.
        publish: is given the counts before doorbells are rung, by those who look from elsewhere.
    """

    __slots__ = (  # measured: 7 % of a packet's time, with the adapters'
        "_calling",
        "_deadline_ns",
        "_entries",
        "_exits",
        "_flushes",
        "_gates",
        "_interrupts",
        "_leaves_open",
        "_next_entry",
        "_paused_ns",
        "_paused_since_ns",
        "_posted",
        "_running",
        "_slow_turns",
        "_spans",
        "_spare",
        "_suspended",
        "_taking",
        "_taps",
        "_timer_order",
        "_timers",
        "adapters",
        "done",
        "error",
        "generation",
        "host",
        "id",
        "outbox",
        "publish",
        "session_id",
        "ticket",
        "turns",
        "words",
    )

    def __init__(
        self,
        stage_id: str,
        session_id: str,
        host: StageHost,
        words: MutableSequence[int] | None = None,
    ) -> None:
        self.id = stage_id
        self.session_id = session_id
        self.host = host
        self.words: MutableSequence[int] = [0] * WORDS if words is None else words
        self.generation = 0
        self.ticket = Ticket()
        self.outbox = 0
        self.error: RemoteMediaError | None = None
        self.done = False
        self.adapters: tuple[OperatorAdapter, ...] = ()
        self.turns = 0
        self.publish: Callable[[str, Sequence[int]], None] | None = None
        self._entries: tuple[Entry, ...] = ()
        self._taking: tuple[Entry, ...] = ()  # the entries, until no packet is wanted any more
        self._exits: tuple[Exit, ...] = ()
        self._leaves_open = 0
        self._next_entry = 0
        self._running = False
        self._deadline_ns = 0
        self._slow_turns = SLOW_TURNS_REMEMBERED
        self._spare = Ticket()
        self._flushes: deque[OperatorAdapter] = deque()
        #: Interrupts it was told of and has not applied, by generation.
        self._interrupts: deque[Interrupt] = deque()
        self._suspended: list[OperatorAdapter] = []
        self._posted: deque[tuple[OperatorAdapter, Any]] = deque()
        self._calling: tuple[OperatorAdapter, ...] = ()
        self._timers: list[Timer] = []
        self._timer_order = itertools.count()
        self._paused_since_ns: int | None = None
        self._paused_ns = 0
        self._taps: list[Tap] = []
        self._gates: list[Interception] = []
        #: What was taken back lately, and at which nodes: more of it may be on its way.
        self._spans: list[tuple[CancelledSpan, frozenset[str]]] = []

    def assemble(
        self,
        adapters: Sequence[OperatorAdapter],
        entries: Sequence[Entry],
        exits: Sequence[Exit],
        leaves: int,
    ) -> None:
        """Take the compiled parts; called once, before the first run.

        Args:
            adapters: in topological order.
            entries: one per in edge.
            exits: one per out edge.
            leaves: how many adapters must have completed before the stage has.
        """
        self.adapters = tuple(adapters)
        self._entries = self._taking = tuple(entries)
        self._exits = tuple(exits)
        self._leaves_open = leaves
        for entry in entries:
            self._listen(entry)
        for exit_ in exits:
            exit_.sender.on_credit = self.host.wake
        for adapter in reversed(self.adapters):
            adapter.start()

    def _listen(self, entry: Entry) -> None:
        prompt = entry.receiver.rings_outside_turns
        entry.receiver.on_readable = self.host.run_now if prompt else self.host.wake

    # --- driving ------------------------------------------------------------------------------

    def run(self, turns_max: int = 64, slice_ns: int = SLICE_NS) -> bool:
        """Do work until it must wait, or for `turns_max` turns or `slice_ns`.

        The host calls `flush` afterwards. A stage whose turns are quick batches its doorbells until
        then; one that had a slow turn lately rings them after each, so that an output never waits
        for the computation behind it.

        Returns:
            True if there is more to do now.
        """
        clock = self.host.now_ns
        now = clock()
        self._deadline_ns = deadline_ns = now + slice_ns
        if self._paused_since_ns is not None:
            self._paused_ns += now - self._paused_since_ns
            self._paused_since_ns = None
        self._running = True
        try:
            for _ in range(turns_max):
                if not (self._take_common() or self._admit(now)):
                    return False
                self.turns += 1
                ended = clock()
                if ended - now > SLOW_TURN_NS:
                    self._slow_turns = SLOW_TURNS_REMEMBERED
                if self._slow_turns:
                    self._slow_turns -= 1
                    self.flush()
                now = ended
                if now >= deadline_ns:
                    break
            return not self.done
        finally:
            self._running = False

    def flush(self) -> None:
        """Publish the counts, and ring the doorbells for what was sent and released."""
        if self.publish is not None:
            self.publish(self.id, self.counts())
        for exit_ in self._exits:
            exit_.sender.flush()
            if exit_.sender.closed and not exit_.left:
                exit_.left = True
                self._note_left(exit_.adapter)
        for entry in self._entries:
            entry.receiver.flush()
        for tap in self._taps:
            tap.flush()
        for gate in self._gates:
            gate.flush()

    def _note_left(self, adapter: OperatorAdapter) -> None:
        """End a node whose outputs nobody takes any more, and so what only feeds it."""
        if adapter.only_sends and all(
            exit_.left for exit_ in self._exits if exit_.adapter is adapter
        ):
            self.post(adapter, COMPLETE)

    def next_due_ns(self) -> int | None:
        """When the next timer is due, on the host's clock; None while the stage's stands still.

        Or when an interception has waited long enough.
        """
        if self._paused_since_ns is not None or self.done:
            return None
        due_ns = [gate.due_ns for gate in self._gates if gate.due_ns is not None]
        if self._timers and not self.is_full:
            due_ns.append(self._timers[0].due_ns + self._paused_ns)
        return min(due_ns, default=None)

    @property
    def slice_is_over(self) -> bool:
        """Whether this run has had its time; asked by adapters between the items of an iterator."""
        return self.host.now_ns() >= self._deadline_ns

    @property
    def exits_ready(self) -> bool:
        """Whether every out edge that goes on has credit, and nothing is queued before one."""
        if self.outbox or (self._gates and self.is_full):
            return False
        for exit_ in self._exits:  # noqa: SIM110 - all() over a generator costs twice as much
            if not exit_.completed and not exit_.sender.ready:
                return False
        return True

    @property
    def is_full(self) -> bool:
        """Whether an interception holds so much that nothing more may leave."""
        return bool(self._gates) and any(gate.full for gate in self._gates)

    def _take_common(self) -> bool:
        """Run the common turn: a packet of the only input, and nothing else to do; else False."""
        if (
            len(self._taking) != 1
            or self.outbox
            or self._suspended
            or self._flushes
            or self._posted
            or self._calling
            or self._timers
            or self._gates
            or self.words[ANNOUNCED] != self.generation
        ):
            return False
        entry = self._taking[0]
        if entry.adapter.chooses or self.done:
            return False
        item = entry.receiver.try_receive()
        if item is None:
            return False
        self._push(entry, item)
        return True

    def _admit(self, now_ns: int) -> bool:
        """Run one turn; False if there is none to run now."""
        if self.done:
            return False
        if self.words[ANNOUNCED] > self.generation:
            if not self._interrupts:
                return False  # the lane is about to tell its scope
            self._apply_interrupt(self._interrupts.popleft())
            return True
        if self.outbox and not self._drain_exits():
            self._paused_since_ns = now_ns
            return False
        if self._gates:
            admitted = self._open_gates()
            if admitted is not None:
                return admitted
        return self._admit_next(now_ns)

    def _admit_next(self, now_ns: int) -> bool:
        """Run one turn, now that nothing waits for room."""
        if self._suspended:
            return self._resume(now_ns)
        if self._flushes:
            adapter = self._flushes.popleft()
            if not self._take_fed(adapter):
                self.ticket = Ticket()
                adapter.run_flush()
            return True
        if self._posted:
            return self._run_posted()
        if self._calling:
            taken = self._take_call(now_ns)
            if taken is not None:
                return taken
        if self._timers and self._fire_timer(now_ns):
            return True
        return self._take_input() or self._finish_if_complete()

    def _drain_exits(self) -> bool:
        for exit_ in self._exits:
            if exit_.queue:
                exit_.drain()
        return self.outbox == 0 and not self.done

    def _resume(self, now_ns: int) -> bool:
        """Go on with the innermost suspended iterator; what it suspends goes before the others."""
        if not self.exits_ready:
            self._paused_since_ns = now_ns
            return False
        first, *rest = self._suspended
        self._suspended = []
        first.resume()
        self._suspended += rest
        return True

    def _open_gates(self) -> bool | None:
        """Let one packet of an interception pass; False: all must wait, None: nothing need."""
        for gate in self._gates:
            gate.take_answers()
        for gate in self._gates:
            if gate.let_pass():
                return True
        self._gates = [gate for gate in self._gates if not gate.over]
        return False if self.is_full else None

    def _run_posted(self) -> bool:
        adapter, output = self._posted.popleft()
        self.ticket = Ticket()
        adapter.take_posted(output)
        return True

    def _take_call(self, now_ns: int) -> bool | None:
        """Take what a call has ready: None if none has, False where it must wait for credits.

        What a generator yields is taken only while every out edge has credit, so that it stays one
        item ahead of what they accepted.
        """
        for adapter in self._calling:
            if adapter.call_is_ready:
                if adapter.calls[0].items and not self.exits_ready:
                    self._paused_since_ns = now_ns
                    return False
                adapter.take_call()
                return True
        return None

    def _fire_timer(self, now_ns: int) -> bool:
        timers = self._timers
        while timers and timers[0].cancelled:
            heapq.heappop(timers)
        if not timers or timers[0].due_ns > now_ns - self._paused_ns:
            return False
        timer = heapq.heappop(timers)
        self.ticket = Ticket()
        timer.adapter.run_timer(timer.callback)
        return True

    def _take_input(self) -> bool:
        """Take a packet, or the end of an input; round-robin, so that none is starved."""
        entries = self._taking
        position = self._next_entry
        for _ in entries:
            entry = entries[position]
            position += 1
            if position == len(entries):
                position = 0
            adapter = entry.adapter
            item = None
            if not (adapter.calls or adapter.chooses) or adapter.accepts_more(entry.ports):
                item = entry.receiver.try_receive()
            if item is not None:
                self._next_entry = position
                self._push(entry, item)
                return True
            if not entry.ended and self._take_end(entry):
                return True
        return False

    def _push(self, entry: Entry, item: Item) -> None:
        receiver = entry.receiver
        generation = item.origin.generation
        if generation != self.generation or self._spans:
            fitting = self._fit(entry, item)
            if fitting is None:
                receiver.release()
                return
            item = fitting
        ticket = self._spare
        ticket.receiver = receiver
        ticket.pending = 1
        self.ticket = ticket
        if type(item) is Group:
            entry.adapter.on_group(item)
        else:
            entry.take(item)
        if ticket.pending == 1:
            receiver.release()
        else:
            self._spare = Ticket()
            ticket.settle_one()

    def _fit(self, entry: Entry, item: Item) -> Item | None:
        """An item of another generation as it goes on here: of this one; None: it is stale."""
        if item.origin.generation > self.generation:  # nobody announced it: all that is here is old
            self._apply_interrupt(Interrupt(item.origin.generation, self._node_ids))
            return None if self.done else item
        if self._spans and self._is_taken_back(entry, item):
            return None
        if item.origin.generation == self.generation:
            return item
        if is_stale(item.origin, entry.adapter.stale_below):
            return None
        return item.with_generation(self.generation)

    def _is_taken_back(self, entry: Entry, item: Item) -> bool:
        since_ns = self.host.now_ns() - SPAN_REMEMBERED_NS
        self._spans = [each for each in self._spans if each[0].before_ns > since_ns]
        node_id = entry.adapter.node_id
        return any(span(item.origin) for span, nodes in self._spans if node_id in nodes)

    def _take_end(self, entry: Entry) -> bool:
        """End one input, once nothing of it is under way."""
        receiver = entry.receiver
        if entry.adapter.calls:
            return False
        if entry.fed:
            entry.ended = receiver.ended or receiver.error is not None
            return entry.ended
        if receiver.error is not None:
            entry.ended = True
            self.fail(receiver.error)
            return True
        if receiver.ended:
            entry.ended = True
            self.ticket = Ticket()
            for port in entry.ports:
                entry.adapter.end_of(port)
            return True
        return False

    def _take_fed(self, adapter: OperatorAdapter) -> bool:
        """Give a node, before it is flushed, what was published to it; whether there was any."""
        if not adapter.inputs_ended:
            return False
        for entry in self._entries:
            if entry.fed and entry.adapter is adapter and not entry.ended:
                # What was published before the end may lie in the edge's socket: this reads it.
                entry.receiver.discard(lambda _: False)
                item = entry.receiver.try_receive()
                if item is not None:
                    self._push(entry, item)
                    if not adapter.calls:
                        self.request_flush(adapter)
                    return True
                entry.ended = True
                entry.receiver.close()
        return False

    def _finish_if_complete(self) -> bool:
        if self._leaves_open or self.done:
            return False
        self._stop()
        self.host.finished(self)
        return False

    # --- what adapters report -----------------------------------------------------------------

    def suspend(self, adapter: OperatorAdapter) -> None:
        """An adapter has an iterator to go on with later; it settles the current ticket then."""
        self.ticket.pending += 1
        self._suspended.append(adapter)

    @property
    def has_suspended(self) -> bool:
        """Whether something this turn caused is suspended: what follows must wait behind it."""
        return bool(self._suspended)

    def request_flush(self, adapter: OperatorAdapter) -> None:
        """All inputs of an adapter have ended; it is flushed once, however often this is said."""
        if adapter not in self._flushes:
            self._flushes.append(adapter)

    def calls_changed(self) -> None:
        """An adapter began or ended its first or last call."""
        self._calling = tuple(adapter for adapter in self.adapters if adapter.calls)

    def leaf_completed(self) -> None:
        """An adapter that the stage waits for has completed; after the last, nothing is taken."""
        self._leaves_open -= 1
        if not self._leaves_open:
            self._taking = ()

    def close_inputs_of(self, adapter: OperatorAdapter) -> None:
        """Close the edges that feed an adapter that takes nothing more."""
        for entry in self._entries:
            if entry.adapter is adapter and not entry.ended:
                entry.ended = True
                entry.receiver.close()

    def post(self, adapter: OperatorAdapter, output: Any) -> bool:
        """Hand an adapter an output from outside a turn; any thread. False: the stage is done."""
        if self.done:
            return False
        self._posted.append((adapter, output))
        self._wake()
        return True

    @property
    def running(self) -> bool:
        """Whether the caller is inside a turn: on the stage's thread, while something is pushed."""
        return self._running and self.host.in_thread()

    def call_later(
        self, adapter: OperatorAdapter, delay_ns: int, callback: Callable[[], None]
    ) -> Callable[[], None]:
        """Arm a timer on the stage's clock; returns what cancels it."""
        due_ns = self.clock_ns() + max(0, delay_ns)
        timer = Timer(due_ns, next(self._timer_order), adapter, callback)
        timers = self._timers
        while timers and timers[0].cancelled:  # what re-arms for ever must not pile up
            heapq.heappop(timers)
        if not self.done:
            heapq.heappush(timers, timer)
            if not self._running:
                self._wake()
        return timer.cancel

    def _wake(self) -> None:
        """Run soon; any thread. On the stage's own, that takes no system call."""
        if self.host.in_thread():
            self.host.wake()
        else:
            self.host.wake_threadsafe()

    def clock_ns(self) -> int:
        """The stage's clock: the host's, less the time spent waiting for credits."""
        now = self.host.now_ns() if self._paused_since_ns is None else self._paused_since_ns
        return now - self._paused_ns

    def cancel_timers(self, adapter: OperatorAdapter) -> None:
        """Forget an adapter's timers."""
        for timer in self._timers:
            if timer.adapter is adapter:
                timer.cancel()

    # --- hands, see engine.stage_hands ------------------------------------------------------------

    def add_tap(self, tap: Tap) -> None:
        """Ring its doorbell with the others; until `remove_tap`."""
        self._taps.append(tap)

    def remove_tap(self, tap: Tap) -> None:
        """It has been detached."""
        self._taps.remove(tap)

    def add_gate(self, gate: Interception) -> None:
        """Let it hold packets back; until it is over."""
        self._gates.append(gate)

    def add_feed(self, entry: Entry) -> None:
        """Take from one more edge, which may go on for ever: no end of it ends its node."""
        entry.adapter.merges()
        self._entries += (entry,)
        if self._leaves_open:
            self._taking += (entry,)
        self._listen(entry)
        self.host.wake()

    def taken(self) -> dict[str, int]:
        """In edge → ordinal of the next packet to be taken off it."""
        return {entry.receiver.edge_id: entry.receiver.next_seq for entry in self._entries}

    def is_held_back(self, adapter: OperatorAdapter) -> bool:
        """Whether an interception holds something of a node."""
        return any(gate.holds for gate in self._gates if gate.adapter is adapter)

    def end_gates_of(self, adapter: OperatorAdapter) -> None:
        """End the interceptions of a node that has completed; they hold nothing."""
        for gate in self._gates:
            if gate.adapter is adapter:
                gate.abandon()

    def tell(self, control: Control, nodes: frozenset[str], before_ns: int) -> Counter[str]:
        """Tell nodes a control message; never from within a turn.

        Args:
            control: the message.
            nodes: who is told; others may be among them.
            before_ns: when it was said, on the host's clock.

        Returns:
            Edge or node id → how much of what is taken back was dropped there.
        """
        covered = [adapter for adapter in self.adapters if adapter.node_id in nodes]
        dropped: Counter[str] = Counter()
        message = control.message
        if isinstance(message, CancelSpeculation):
            span = CancelledSpan(message.from_ns, message.to_ns, before_ns)
            self._spans = [*self._spans[1 - SPANS_MAX :], (span, nodes)]
            dropped = self._discard(covered, lambda _: span)
            for adapter in covered:
                dropped[adapter.node_id] += adapter.discard(span, flush=False)
            self._suspended = [adapter for adapter in self._suspended if adapter.is_suspended]
            for adapter in covered:
                adapter.go_on()
        for adapter in covered:
            if not self.done:
                adapter.tell(control)
        self.host.wake()
        return +dropped

    # --- ending -------------------------------------------------------------------------------

    def fail(self, error: RemoteMediaError) -> None:
        """Stop at an error. The first one wins; from now on nothing goes on any edge."""
        if self.done:
            return
        self.error = error
        self._stop()
        edge_error = EdgeClosedError(
            f"stage {self.id!r} failed: {error.message}", edge="", stage=self.id
        )
        for exit_ in self._exits:
            exit_.sender.fail(edge_error)
        self.host.finished(self)

    def cancel(self) -> None:
        """Stop at once; what is queued is dropped. A second call does nothing."""
        if self.done:
            return
        self.words[CANCELLED] = 1
        self._stop()
        edge_error = EdgeClosedError(f"stage {self.id!r} was cancelled", edge="", stage=self.id)
        for exit_ in self._exits:
            exit_.sender.fail(edge_error)
        self.host.finished(self)

    def _stop(self) -> None:
        self.done = True
        for exit_ in self._exits:
            exit_.abandon()
        self.outbox = 0
        self._timers.clear()
        posted, self._posted = self._posted, deque()
        for adapter, output in posted:
            if type(output) is ParamsChange:
                adapter.refuse(output)
        self._flushes.clear()
        for adapter in self.adapters:
            adapter.abandon()
        self._suspended.clear()
        for entry in self._entries:
            entry.receiver.close()
        for gate in self._gates:
            gate.abandon()
        for tap in self._taps:
            tap.on_completed()
        self.flush()

    def interrupt(self, interrupt: Interrupt) -> None:
        """Be told of an interrupt; it is applied before anything else is taken.

        Where all nodes are in its scope, outputs of what is under way go nowhere from now on. The
        generations of the interrupts of a stage only grow.
        """
        if self.done or interrupt.generation <= self.generation:  # a packet has told it before
            return
        self._interrupts.append(interrupt)
        words = self.words
        words[ANNOUNCED] = max(words[ANNOUNCED], interrupt.generation)
        if all(adapter.node_id in interrupt.nodes for adapter in self.adapters):
            words[STALE_BELOW] = max(words[STALE_BELOW], interrupt.generation)
        self.host.wake()

    def interrupt_all(self, generation: int) -> None:
        """Be told of an interrupt whose scope all its nodes are in."""
        self.interrupt(Interrupt(generation, self._node_ids))

    @property
    def _node_ids(self) -> frozenset[str]:
        return frozenset(adapter.node_id for adapter in self.adapters)

    def _apply_interrupt(self, interrupt: Interrupt) -> None:
        """Inside the scope drop and forget whatever is older; outside it go on, as something newer.

        The end of stream stays, and so does what is uninterruptible.
        """
        self.generation = generation = interrupt.generation
        self.words[ANNOUNCED] = max(self.words[ANNOUNCED], generation)
        self.ticket = Ticket()
        settlement = Settlement(generation)
        covered = [adapter for adapter in self.adapters if adapter.node_id in interrupt.nodes]
        if len(covered) == len(self.adapters):
            self.words[STALE_BELOW] = max(self.words[STALE_BELOW], generation)
        for adapter in self.adapters:
            if adapter in covered:
                adapter.stale_below = generation
            else:
                adapter.carry_on()
        for gate in self._gates:
            if gate.adapter not in covered:
                gate.carry_on(generation)
        dropped = self._discard(covered, lambda adapter: older_than(adapter.stale_below))
        self._timers = [timer for timer in self._timers if timer.adapter not in covered]
        heapq.heapify(self._timers)
        posted, self._posted = self._posted, deque()
        for adapter, output in posted:
            if adapter in covered and output is not COMPLETE and type(output) is not ParamsChange:
                dropped[adapter.node_id] += 1
            else:
                self._posted.append((adapter, output))
        for adapter in reversed(covered):  # from the sinks upward: reset may emit
            played = adapter.played()
            if played:
                settlement.played[adapter.node_id] = played
            dropped[adapter.node_id] += adapter.interrupt()
            if self.done:
                return
        self._suspended = [adapter for adapter in self._suspended if adapter.is_suspended]
        settlement.add_dropped(dropped)
        self.host.interrupted(self, settlement)

    def _discard(
        self,
        covered: Sequence[OperatorAdapter],
        unwanted_at: Callable[[OperatorAdapter], Unwanted],
    ) -> Counter[str]:
        """Drop what is not wanted before and behind some nodes, in the order of its way back."""
        dropped: Counter[str] = Counter()
        for exit_ in self._exits:
            if exit_.adapter in covered:
                dropped[exit_.sender.edge_id] += exit_.purge(unwanted_at(exit_.adapter))
        for gate in self._gates:
            if gate.adapter in covered:
                dropped[gate.adapter.node_id] += gate.discard(unwanted_at(gate.adapter))
        for entry in self._entries:
            if entry.adapter in covered:
                dropped[entry.receiver.edge_id] += entry.receiver.discard(
                    unwanted_at(entry.adapter)
                )
        return dropped

    def oldest_call_ns(self) -> int | None:
        """When the longest silent asynchronous call last gave a sign of life; None if none runs."""
        signs = [
            call.started_ns
            for adapter in self._calling
            for call in adapter.calls
            if call.cancel is not None and not call.done and not call.items
        ]
        return min(signs, default=None)

    def waiting_for(self) -> tuple[Waiting, ...]:
        """What must come before it goes on, the most urgent first; nothing once it is done."""
        if self.done:
            return ()
        due_ns = self.next_due_ns()
        timers = self._timers
        timer = (due_ns, timers[0].adapter.node_id) if timers and due_ns is not None else None
        now_ns = self.host.now_ns()
        return tuple(waiting_of(self._entries, self._exits, self.adapters, timer, now_ns))

    def counts(self) -> list[int]:
        """What has been counted, as numbers in a row: `StageStatistics.of` names them."""
        counts = [self.turns, self._paused_ns]
        for adapter in self.adapters:
            counts += adapter.counts()
        return counts

    def statistics(self) -> StageStatistics:
        """A snapshot of the counts."""
        return StageStatistics.of([adapter.node_id for adapter in self.adapters], self.counts())
