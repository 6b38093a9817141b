"""One stream: from its session's start to its last message. Source: FR-008, FR-009, FR-012.

Three tasks: one reads messages and converts them, one gives them to the session, one hands out what
comes. Each waits for the next one: a client that does not read stops the writer, the writer the
pipeline, the pipeline the feeder, and that, by an inbox which is bounded, the reader; so the client
is stopped at its own socket.

    socket ─▶ _read ─▶ inbox ─▶ _feed ─▶ session ─▶ _hand_out ─▶ socket

A session that others end, or that was idle, ends its call whether the client reads or not: it has a
moment for the last words, and gets a status in their place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.message import DecodeError

from engine.clock import clock_of
from engine.errors import (
    EdgeClosedError,
    RemoteMediaError,
    ResourceLimitError,
    TransportError,
)
from engine.payloads import Control
from protos.remotemedia.v1 import streaming_pb2
from transports.rpc.chunk_times import ChunkTimes
from transports.rpc.errors import NOTHING_TOLD, InputError, SessionEndedError
from transports.rpc.execution import fill_output
from transports.rpc.inbox import Inbox
from transports.rpc.inputs import Chunk, Inputs, send, send_nowait
from transports.rpc.malformed import MALFORMED
from transports.rpc.memory import ProcessUsage
from transports.rpc.starting import start
from transports.rpc.stream_controls import StreamControls
from transports.rpc.stream_metrics import StreamCounts
from transports.rpc.stream_protocol import (
    CancelCommand,
    CloseCommand,
    FeedCommand,
    StreamProtocol,
)
from transports.rpc.stream_writer import ClientGoneError, StreamWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transports.rpc.measuring import Measurement
    from transports.rpc.service import Context, PipelineService
    from transports.rpc.sessions import LiveSession

logger = logging.getLogger("remotemedia.rpc")

#: Recommended where the client expects no size of its own.
CHUNK_SIZE: Final = 4096
#: How long a buffer may wait before it is processed, as clients are told.
BUFFER_LATENCY_MS: Final = 100
#: What is under way when a client's message is wrong may come out for so long before the error.
_SETTLING_S: Final = 1.0
#: How long a client may take to read the last words of a session that was ended for it.
LAST_WORDS_S: Final = 1.0
#: Inputs whose outputs are known to be theirs, beyond those that the edges hold.
_REMEMBERED_MIN: Final = 1_024


class Stream:
    """One stream, from its session's start to its last message."""

    def __init__(
        self,
        service: PipelineService,
        context: Context,
        live: LiveSession,
        protocol: StreamProtocol,
        inputs: Inputs,
        measurement: Measurement,
        *,
        plan_kept: bool,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            service: what all services share.
            context: the call.
            live: its session.
            protocol: has read the init.
            inputs: converts what comes.
            measurement: what the call took.
            plan_kept: whether its plan had been made before.
        """
        self._service = service
        self._context = context
        self._live = live
        self._session = live.session
        self._protocol = protocol
        self._inputs = inputs
        self._measurement = measurement
        limits = service.limits
        #: Inputs in order; None: the end of them; an error: what is wrong with the one after them;
        #: a task: what comes behind waits for it.
        self._inbox: Inbox[Chunk | asyncio.Task[None] | Exception | None] = Inbox(
            limits.pending_chunks_max, limits.pending_bytes_max
        )
        live.waiting = self._inbox
        live.drop_entering = self._drop_entering
        self._loop = asyncio.get_running_loop()
        self._now_ns = clock_of(self._loop)
        capacity = sum(edge.capacity for edge in live.plan.edges)
        self._times = ChunkTimes(capacity + _REMEMBERED_MIN)
        self._usage = ProcessUsage(live.session)
        self._counts = StreamCounts(
            live.session, measurement, self._usage, service.plans, plan_kept=plan_kept
        )
        self._controls = StreamControls(live)
        self._writer = StreamWriter(service, context)
        #: Once it is set, it bounds what is left of the stream.
        self._patience = asyncio.timeout(None)
        self._ready = asyncio.Event()
        #: Whether all inputs that were read before have entered, so that the next one may.
        self._feeder_rests = False
        self._feeder: asyncio.Task[None] | None = None
        #: What the feeder gives the session and that has no room for yet.
        self._entering: Chunk | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: Exception | None = None
        self._cancelled = False
        self._input_ended = False
        self._active_s = self._loop.time()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._settling_timer: asyncio.TimerHandle | None = None

    async def run(self, first: Sequence[Chunk], chunk_size: int) -> None:
        """Serve it to its end.

        Args:
            first: what the init brought.
            chunk_size: what the client expects; 0: nothing.
        """
        self._feeder = asyncio.create_task(self._feed(first))
        self._tasks += (asyncio.create_task(self._read()), self._feeder)
        self._watch_idleness()
        unsaid: RemoteMediaError | None = None
        try:
            unsaid = await self._serve(chunk_size)
        except ClientGoneError:
            logger.info("client_gone", extra={"session_id": self._live.id})
            unsaid = TransportError("the client could not be written to")
        finally:
            for timer in (self._idle_timer, self._settling_timer):
                if timer is not None:
                    timer.cancel()
            for task in self._tasks:
                task.cancel()
            await self._counts.aclose()
            await self._controls.aclose()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if unsaid is not None:
            await self._writer.abort(unsaid)

    async def _serve(self, chunk_size: int) -> RemoteMediaError | None:
        """Serve it; what is left to be said by the call's status, if anything.

        Raises:
            ClientGoneError: it is nobody's any more.
        """
        try:
            async with self._patience:
                self._live.on_stop = self._hurry
                await self._run_session(chunk_size)
                await self._say_last_words()
        except TimeoutError:
            pass
        else:
            return None
        finally:
            self._live.on_stop = lambda: None
        if not self._writer.is_blocked:  # it was something of ours that took so long
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._say_last_words()
                return None
        logger.warning("client_does_not_read", extra={"session_id": self._live.id})
        if self._failure is None:
            return SessionEndedError(self._live.ended_by or "The session has ended")
        self._live.error = self._failure
        if isinstance(self._failure, RemoteMediaError):
            return self._failure
        return RemoteMediaError(NOTHING_TOLD)

    async def _run_session(self, chunk_size: int) -> None:
        """Run the session to its end; how it failed is noted."""
        try:
            await start(self._session, self._writer.write)
            if self._cancelled or self._live.ended_by:  # before it began to start
                self._session.cancel()
            self._tasks.append(asyncio.create_task(self._usage.sample(now=True)))
            await self._writer.write(
                streaming_pb2.StreamResponse(
                    ready=streaming_pb2.StreamReady(
                        session_id=self._live.id,
                        recommended_chunk_size=chunk_size or CHUNK_SIZE,
                        max_buffer_latency_ms=BUFFER_LATENCY_MS,
                    )
                )
            )
            self._ready.set()
            await self._hand_out()
        except RemoteMediaError as error:
            ended = self._cancelled or self._live.ended_by
            # What an input before a wrong message caused comes first, as that input did.
            if not ended and (self._failure is None or self._settling_timer is not None):
                self._failure = error
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            self._failure = error

    def _hurry(self) -> None:
        """The session is being ended: the rest of the stream is last words."""
        if self._patience.when() is None:
            self._patience.reschedule(self._loop.time() + LAST_WORDS_S)

    # --- from the client --------------------------------------------------------------------------

    async def _read(self) -> None:
        """Read messages to their end; what is wrong takes its place in the order of inputs."""
        try:
            while True:
                request = await self._context.read()
                self._active_s = self._loop.time()
                ended = request is grpc.aio.EOF
                command = self._protocol.end() if ended else self._protocol.receive(request)
                match command:
                    case FeedCommand():
                        chunk = self._inputs.chunk(
                            command.node_id,
                            command.buffer,
                            command.named,
                            command.sequence,
                            command.timestamp_ms,
                        )
                        # It is told past what waits, and follows in line as any other input.
                        if isinstance(chunk.payload, Control):
                            telling = self._controls.tell(chunk)
                            await self._inbox.put(telling, chunk.size_bytes)
                            if not self._inputs.takes_control(chunk.node_id):
                                continue
                        if not self._feed_now(chunk):
                            await self._inbox.put(chunk, chunk.size_bytes)
                    case CloseCommand():
                        await self._inbox.put(None, 0)
                    case CancelCommand():
                        self._cancelled = True
                        self._session.cancel()
                        return
                if ended:
                    return
        except Exception as raised:  # noqa: BLE001 - whatever it is, the client is told
            error = InputError(MALFORMED) if isinstance(raised, DecodeError) else raised
            if not self._ready.is_set() and not len(self._inbox):
                self._failure = error  # nothing of this stream is worth waiting for
                self._session.cancel()
            else:
                await self._inbox.put(error, 0)

    async def _feed(self, first: Sequence[Chunk]) -> None:
        """Give the session its inputs as fast as it takes them."""
        await self._ready.wait()
        try:
            for chunk in first:
                self._times.note(self._now_ns(), chunk.sequence)
                await self._enter(chunk)
            self._controls.begin()
            while True:
                self._feeder_rests = True
                item = await self._inbox.get()
                self._feeder_rests = False
                if item is None:
                    break
                if isinstance(item, Exception):
                    await self._fail(item)
                    return
                if isinstance(item, asyncio.Task):
                    await item
                    continue
                self._times.note(self._now_ns(), item.sequence)
                if not await self._enter(item):
                    continue
                self._counts.taken(self._times.count, self._write_metrics)
            self._input_ended = True
            await self._session.end_input()
        except EdgeClosedError:
            return  # the pipeline takes no more, or was ended; the writer knows which
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            await self._fail(error)

    async def _enter(self, chunk: Chunk) -> bool:
        """Give the session an input; False: it was dropped while it waited for room."""
        self._entering = chunk
        try:
            await send(self._session, chunk)
        except asyncio.CancelledError:
            feeder = asyncio.current_task()
            if self._entering is not None or feeder is None or feeder.uncancel():
                raise  # it is the stream that ends
            return False
        finally:
            self._entering = None
        return True

    def _drop_entering(self, stays: Callable[[object], bool]) -> None:
        """Drop the input that waits for room in the session, unless it stays."""
        if self._entering is not None and self._feeder is not None and not stays(self._entering):
            self._entering = None
            self._feeder.cancel()

    def _feed_now(self, chunk: Chunk) -> bool:
        """Give the session an input past the inbox, where nothing waits there and it has room.

        Saves two switches of tasks and a turn of the loop per chunk.
        """
        if not self._feeder_rests or len(self._inbox):
            return False
        self._times.note(self._now_ns(), chunk.sequence)
        try:
            entered = send_nowait(self._session, chunk)
        except EdgeClosedError:
            return True  # the pipeline takes no more, or was ended; the writer knows which
        if not entered:
            self._times.take_back()
            return False
        self._counts.taken(self._times.count, self._write_metrics)
        return True

    async def _fail(self, error: Exception) -> None:
        """End the stream with an error, behind what was caused by the inputs before it."""
        if self._failure is None:
            self._failure = error
        self._settling_timer = self._loop.call_later(_SETTLING_S, self._session.cancel)
        await self._session.end_input()

    # --- to the client ----------------------------------------------------------------------------

    async def _hand_out(self) -> None:
        while (packet := await self._session.receive()) is not None:
            ingress_ns = packet.origin.ingress_ns
            cause = self._times.cause_of(ingress_ns)
            latency_ms = (self._now_ns() - ingress_ns) / 1e6
            response = streaming_pb2.StreamResponse()
            result = response.result
            result.sequence = cause.sequence
            result.processing_time_ms = latency_ms
            result.total_items_processed = self._counts.outputs + 1
            fill_output(result.data_outputs[packet.source.node], packet, self._measurement)
            self._check_size(response, packet.source.node)
            await self._writer.write(response)
            self._counts.answered(cause.ordinal, latency_ms)

    def _check_size(self, response: streaming_pb2.StreamResponse, node: str) -> None:
        """Refuse an output that is larger than a message may be."""
        size, bytes_max = response.ByteSize(), self._service.limits.message_bytes_max
        if size > bytes_max:
            raise ResourceLimitError(
                f"an output of node {node!r} has {size} bytes, more than the {bytes_max} that a"
                " message may have: let it give less at a time, or raise max_message_mb",
                limit=bytes_max,
                requested=size,
                resource="message_bytes",
                node_id=node,
            )

    async def _write_metrics(self, metrics: streaming_pb2.StreamMetrics) -> None:
        metrics.buffer_items += len(self._inbox)
        with contextlib.suppress(ClientGoneError):  # the writer of results finds out, too
            await self._writer.write(streaming_pb2.StreamResponse(metrics=metrics))

    async def _say_last_words(self) -> None:
        """Say how the stream ended."""
        response = streaming_pb2.StreamResponse()
        if self._failure is None:
            try:
                await self._fill_closed(response.closed)
            except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
                self._failure = error
        if self._failure is not None:
            await self._counts.drop()
            self._live.error = self._failure
            told = await self._service.answer(self._failure, self._context)
            response = streaming_pb2.StreamResponse(error=told)
        await self._writer.write(response)

    async def _fill_closed(self, closed: streaming_pb2.StreamClosed) -> None:
        if self._cancelled:
            await self._counts.drop()
            reason = "Client requested cancel"
        else:
            await self._counts.finish()
            reason = "Client requested close" if self._input_ended else "The pipeline has ended"
            reason = self._live.ended_by or reason
        await self._usage.sample(now=not self._usage.peak_bytes)
        closed.session_id = self._live.id
        closed.reason = reason
        statistics = self._session.statistics()
        self._measurement.fill_metrics(
            closed.final_metrics, self._live.plan, statistics, self._usage
        )

    # --- idleness ---------------------------------------------------------------------------------

    def _watch_idleness(self) -> None:
        """Look again when the stream may have been idle for too long."""
        due_s = self._last_active_s() + self._service.limits.idle_timeout_s
        self._idle_timer = self._loop.call_at(due_s, self._check_idleness)

    def _last_active_s(self) -> float:
        return max(self._active_s, self._writer.active_s)

    def _check_idleness(self) -> None:
        limit_s = self._service.limits.idle_timeout_s
        now_s = self._loop.time()
        if self._session.phase in {"created", "starting"}:  # which has a bound of its own
            self._active_s = now_s
        if now_s - self._last_active_s() < limit_s:
            self._watch_idleness()
            return
        if self._failure is None:
            self._failure = ResourceLimitError(
                f"the stream was idle for {limit_s:g} s: no input came, and no output was read",
                limit=limit_s,
                requested=None,
                resource="idle_timeout_s",
            )
        self._session.cancel()
        self._hurry()
