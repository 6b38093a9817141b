"""One stream: a session on a server, fed and read like a local one. Source: FR-008, FR-009, FR-012.

One task reads what the server sends and leaves it in a small queue: whoever does not take from it
stops the reader, and by that the server's pipeline. Once the call is over, it reads the rest, which
is little, without waiting for anybody, to know how the session ended or to connect anew.

One message at a time is written. Whoever writes waits while a connection is being made again, and
first sends again what a new connection lacks: so inputs stay in order, and the reader goes on.

Reads and writes are never cancelled halfway, which would end the call: a cancelled `receive` loses
nothing, and what a cancelled `send` was about to send may still be sent.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import grpc

from engine.errors import EdgeClosedError, RemoteMediaError, TransportError, UsageError
from engine.executors.contract import Progress
from engine.packet import NO_METADATA
from engine.payloads import Control
from protos.remotemedia.v1 import streaming_pb2
from remotemedia.client.failures import (
    error_of,
    error_of_ending,
    error_of_status,
    is_connection_lost,
)
from remotemedia.client.packets import Incoming, buffer_of
from remotemedia.client.reconnect import Reconnect, Unanswered
from transports.rpc.status_news import STATUS_KEY, SYSTEM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from types import TracebackType

    from engine.interruption import Settlement
    from engine.packet import Packet
    from engine.payloads import Payload
    from protos.remotemedia.v1 import common_pb2
    from remotemedia.client.client import Client
    from remotemedia.client.exchange import Exchange
    from remotemedia.client.hands import Hands
    from remotemedia.client.manifests import WireManifest

logger = logging.getLogger("remotemedia.client")

#: What is said of ourselves.
VERSION: Final = "v1"
#: Outputs that wait to be taken; then the server is left waiting.
_OUTPUTS_MAX: Final = 4
#: How long a stream that is left may take to say goodbye.
_GOODBYE_S: Final = 1.0
_NEWS: Final = re.compile(r"\[(?P<node>[^\]]*)\] status=(?P<status>.*?) message=(?P<message>.*)")
_SHARE: Final = re.compile(r"(\d{1,3})%")
_NS_PER_MS: Final = 1_000_000

_Exchange: TypeAlias = "Exchange[streaming_pb2.StreamRequest, streaming_pb2.StreamResponse]"


class RemoteStream:
    """A session on a server. Use it as an async context manager: it is ready inside.

    Attributes:
        session_id: the server's name for it; another one after a lost connection.
        chunk_size: what the server recommends.
        metrics: the last StreamMetrics that came, or None.
        final_metrics: what the server said of the whole session at its end, or None.
        close_reason: why it says it ended; "" before.
        reconnects: how often a lost connection was made again.
        given_up: inputs without an answer that a new connection was not sent again, since there
            were more of them than are kept.
    """

    def __init__(
        self,
        client: Client,
        manifest: WireManifest,
        init: streaming_pb2.StreamInit,
        on_progress: Callable[[Progress], object] | None,
        reconnect: Reconnect | None,
    ) -> None:
        """Prepare; see `Client.stream`."""
        self.session_id = ""
        self.chunk_size = 0
        self.metrics: streaming_pb2.StreamMetrics | None = None
        self.final_metrics: common_pb2.ExecutionMetrics | None = None
        self.close_reason = ""
        self.reconnects = 0
        self.given_up = 0
        self._client = client
        self._manifest = manifest
        self._init = init
        self._on_progress = on_progress
        self._reconnect = reconnect
        self._unanswered = Unanswered(reconnect.kept_max if reconnect else 0)
        self._exchange: _Exchange | None = None
        self._reading: asyncio.Task[None] | None = None
        self._resending: asyncio.Task[None] | None = None
        #: Outputs in order; None: no more come.
        self._outputs: asyncio.Queue[Packet | None] = asyncio.Queue()
        #: The reader may have room for more outputs, or need none.
        self._room = asyncio.Event()
        #: One message at a time is written.
        self._writing = asyncio.Lock()
        #: Whether the session is ready, so that inputs may be written.
        self._is_ready = False
        #: That, or the end, has changed.
        self._changed = asyncio.Event()
        #: The exchange that has been sent all that came before.
        self._up_to_date: object = None
        self._incoming = Incoming("")
        #: The first inputs have 0.
        self._sequence = 1 if init.data_inputs else 0
        self._input_ended = False
        self._close_sent = False
        self._left = False
        self._over = False
        self._error: RemoteMediaError | None = None

    # --- lifecycle --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Open it and wait until all nodes are ready.

        Raises:
            ManifestError, ResourceLimitError, StartupError, NodeError: as `Session.start`.
            TransportError: the server cannot be reached, or refuses; where it was said to connect
                anew, behind all attempts.
            UsageError: it was started before.

        A cancelled call leaves nothing on the server.
        """
        if self._exchange is not None:
            raise UsageError("a stream is started once; open another one")
        try:
            failure = await self._open()
            if failure is not None:
                failure = await self._opened_again(failure)
        except BaseException:
            self._leave()
            self._finish()
            raise
        if failure is not None:
            self._error = failure
            self._finish()
            raise failure
        self._up_to_date = self._exchange
        self._reading = asyncio.create_task(self._read())

    async def aclose(self) -> None:
        """End it: at once if not everything has come. A second call does nothing."""
        if self._exchange is None:
            return
        if self._is_ready and not (self._left or self._over or self._exchange.is_over):
            self._left = True
            try:
                async with asyncio.timeout(_GOODBYE_S), self._writing:
                    cancel = streaming_pb2.StreamControl.COMMAND_CANCEL
                    await self._exchange.write(_control(cancel))
            except TimeoutError:
                pass  # nobody listens
        self._leave()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
            await self._exchange.aclose()
        if self._resending is not None:
            await self._resending

    def cancel(self) -> None:
        """End it at once, whatever is under way; `aclose` does the rest."""
        self._leave()

    def _leave(self) -> None:
        self._left = True
        if self._exchange is not None:
            self._exchange.cancel()
        if self._reading is not None:
            self._reading.cancel()
        self._changed.set()

    # --- input ------------------------------------------------------------------------------------

    async def send(
        self,
        payload: Payload,
        node: str | None = None,
        *,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> int:
        """Send one packet, waiting while the server takes no more.

        Args:
            payload: what to send. A Control goes past the data.
            node: the node it is for; may be left out if there is only one that takes any.
            timestamp_ns: media time, of which the wire carries whole milliseconds (a Video's:
                microseconds).
            metadata: strings that travel with it.

        Returns:
            Its sequence, which its outputs have, too.

        Raises:
            UsageError: no such node is known here, or it is no payload.
            EdgeClosedError: the stream has ended, or its input has.
            RemoteMediaError: the session has failed.
        """
        chunk = streaming_pb2.DataChunk(
            node_id=self._manifest.ingress(node),
            buffer=buffer_of(payload, metadata, timestamp_ns or 0),
            timestamp_ms=(timestamp_ns or 0) // _NS_PER_MS,
        )
        return await self._send(chunk, kept=not isinstance(payload, Control))

    async def send_group(
        self,
        payloads: Mapping[str, Payload],
        node: str | None = None,
        *,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> int:
        """Send packets for several ports of a node that belong together; else as `send`.

        Args:
            payloads: input port → payload.
            node: the node.
            timestamp_ns: media time of all of them.
            metadata: strings that travel with each.
        """
        chunk = streaming_pb2.DataChunk(
            node_id=self._manifest.ingress(node),
            timestamp_ms=(timestamp_ns or 0) // _NS_PER_MS,
            named_buffers={
                port: buffer_of(payload, metadata, timestamp_ns or 0)
                for port, payload in payloads.items()
            },
        )
        return await self._send(chunk, kept=True)

    async def control(self, control: Control, scope: str | None = None) -> None:
        """Tell nodes a control message, past the data.

        Args:
            control: the message.
            scope: a node that takes inputs: it and all behind it.
        """
        await self.send(control, scope)

    async def end_input(self) -> None:
        """Say that nothing more will be sent: the rest comes out. A second call does nothing."""
        if self._input_ended:
            return
        self._input_ended = True
        try:
            await self._write(_control(streaming_pb2.StreamControl.COMMAND_CLOSE))
        except EdgeClosedError:
            return  # it has ended by itself

    async def _send(self, chunk: streaming_pb2.DataChunk, *, kept: bool) -> int:
        if self._input_ended:
            raise EdgeClosedError("nothing can be sent: the input has ended", edge="")
        chunk.sequence = self._sequence
        self._sequence += 1
        request = streaming_pb2.StreamRequest(data_chunk=chunk)
        await self._write(request, chunk if kept else None)
        return chunk.sequence

    async def _write(
        self, request: streaming_pb2.StreamRequest, kept: streaming_pb2.DataChunk | None = None
    ) -> None:
        if self._exchange is None:
            raise UsageError("open the stream first: async with client.stream(…) as stream")
        writing = asyncio.ensure_future(self._write_now(request, kept))
        writing.add_done_callback(_noted)
        await asyncio.shield(writing)

    async def _write_now(
        self, request: streaming_pb2.StreamRequest, kept: streaming_pb2.DataChunk | None
    ) -> None:
        async with self._writing:
            while not await (await self._connected()).write(request):
                pass  # lost: a new connection gets it, or the reader says why there is none
            if kept is not None:
                self._unanswered.sent(kept)
            elif request.HasField("control"):
                self._close_sent = True

    async def _connected(self) -> _Exchange:
        """Wait for a session that is ready and has been sent all that came before.

        Raises:
            RemoteMediaError: the session has failed.
            EdgeClosedError: it has ended.
        """
        while True:
            if self._error is not None:
                raise self._error
            if self._over or self._left:
                raise EdgeClosedError("nothing can be sent: the stream has ended", edge="")
            exchange = self._exchange
            assert exchange is not None
            if not self._is_ready or exchange.is_over:
                self._changed.clear()
                await self._changed.wait()
            elif self._up_to_date is exchange:
                return exchange
            elif await self._resent(exchange):
                self._up_to_date = exchange

    async def _resent(self, exchange: _Exchange) -> bool:
        """Send again what nobody has answered; False: the connection was lost meanwhile."""
        facts = {"resent": len(self._unanswered), "given_up": self._unanswered.given_up}
        logger.warning("session_begins_anew", extra={"session_id": self.session_id, **facts})
        for chunk in self._unanswered:
            if not await exchange.write(streaming_pb2.StreamRequest(data_chunk=chunk)):
                return False
        self.given_up += self._unanswered.take_given_up()
        close = streaming_pb2.StreamControl.COMMAND_CLOSE
        return not self._close_sent or await exchange.write(_control(close))

    async def _resend(self) -> None:
        """Send again what a new connection lacks, if nobody writes who does it first."""
        try:
            async with self._writing:
                await self._connected()
        except RemoteMediaError:
            return  # the reader tells of it

    # --- output -----------------------------------------------------------------------------------

    async def receive(self) -> Packet | None:
        """The next output, or None once everything has come.

        Raises:
            RemoteMediaError: the session failed; outputs that had come before are given first.

        A cancelled call loses nothing.
        """
        if self._exchange is None:
            raise UsageError("open the stream first: async with client.stream(…) as stream")
        packet = await self._outputs.get()
        self._room.set()
        if packet is None:
            self._outputs.put_nowait(None)  # whoever asks again is told again
            if self._error is not None:
                raise self._error
        return packet

    def receive_nowait(self) -> Packet | None:
        """The next output, or None if there is none now."""
        if self._outputs.empty():
            return None
        packet = self._outputs.get_nowait()
        self._room.set()
        if packet is None:
            self._outputs.put_nowait(None)  # `receive` tells of the end
        return packet

    async def outputs(self) -> AsyncIterator[Packet]:
        """Yield the outputs until everything has come.

        Raises:
            RemoteMediaError: see `receive`.
        """
        while (packet := await self.receive()) is not None:
            yield packet

    def __aiter__(self) -> AsyncIterator[Packet]:
        return self.outputs()

    def attach(self, attach_id: str = "") -> Hands:
        """See `Client.attach`."""
        return self._client.attach(self.session_id, attach_id)

    async def interrupt(self, scope: str | None = None, *, reason: str = "") -> Settlement:
        """See `Client.interrupt`."""
        return await self._client.interrupt(self.session_id, scope, reason=reason)

    # --- what the server sends --------------------------------------------------------------------

    async def _open(self) -> RemoteMediaError | None:
        """Make a call, and read until the session is ready; what is wrong is returned.

        Raises:
            UsageError: the client is closed.
        """
        self._is_ready = False
        exchange = self._exchange = self._client.open_stream(
            self._manifest.metadata, self._room.set
        )
        try:
            await exchange.write(streaming_pb2.StreamRequest(init=self._init))
            while (response := await exchange.read()) is not None:
                match response.WhichOneof("response"):
                    case "ready":
                        self.session_id = response.ready.session_id
                        self.chunk_size = response.ready.recommended_chunk_size
                        self._incoming = Incoming(self.session_id)
                        self._is_ready = True
                        self._changed.set()
                        return None
                    case "error":
                        return error_of(response.error)
                    case "result":
                        self._tell_progress(response.result)
            return await self._error_of_end(exchange, "the stream ended before it was ready")
        except RemoteMediaError as error:
            return error
        finally:
            if not self._is_ready:
                exchange.cancel()

    async def _error_of_end(
        self,
        exchange: _Exchange,
        otherwise: str,
    ) -> RemoteMediaError:
        """Why a call ended without a word of the server's in its messages."""
        status, details = await exchange.status()
        address = self._client.address
        if status is not grpc.StatusCode.OK:
            return error_of_status(status, details, address)
        return TransportError(f"{address}: {otherwise}", status="UNAVAILABLE", address=address)

    async def _read(self) -> None:
        try:
            while (error := await self._read_session()) is not None:
                self._is_ready = False
                if (error := await self._opened_again(error)) is not None:
                    self._error = error
                    break
                self._resending = asyncio.create_task(self._resend())
        except asyncio.CancelledError:  # it was left: whoever still waits is told of the end
            while not self._outputs.empty():
                self._outputs.get_nowait()
            raise
        except Exception as error:
            logger.exception("stream_reader_failed", extra={"session_id": self.session_id})
            self._error = RemoteMediaError(f"the stream cannot be read any more: {error!r}")
        finally:
            self._finish()

    def _finish(self) -> None:
        """Tell whoever waits that nothing more comes."""
        self._over = True
        self._changed.set()
        self._outputs.put_nowait(None)

    async def _read_session(self) -> RemoteMediaError | None:
        """Read to the end of the session: why it failed or was cut off, or None."""
        exchange = self._exchange
        assert exchange is not None
        closed = False
        try:
            while (response := await exchange.read()) is not None:
                match response.WhichOneof("response"):
                    case "result":
                        await self._take(response.result, exchange)
                    case "metrics":
                        self.metrics = response.metrics
                    case "closed":
                        closed = True
                        self.final_metrics = response.closed.final_metrics
                        self.close_reason = response.closed.reason
                    case "error":
                        return error_of(response.error)
        except RemoteMediaError as error:
            return error
        if not closed:
            return await self._error_of_end(exchange, "the stream was cut off")
        if self._close_sent and self._unanswered.is_empty:
            return None
        return error_of_ending(self.close_reason, self._client.address)

    async def _take(
        self,
        result: streaming_pb2.ChunkResult,
        exchange: _Exchange,
    ) -> None:
        if STATUS_KEY in result.data_outputs:
            self._tell_progress(result)
            return
        for node_id, buffer in result.data_outputs.items():
            self._outputs.put_nowait(self._incoming.packet(node_id, buffer, result.sequence))
        self._unanswered.answered(result.sequence)
        while self._outputs.qsize() >= _OUTPUTS_MAX and not exchange.is_over:
            self._room.clear()
            await self._room.wait()

    def _tell_progress(self, result: streaming_pb2.ChunkResult) -> None:
        text = result.data_outputs[STATUS_KEY].text.text_data.decode(errors="replace")
        found = _NEWS.fullmatch(text)
        if found is None or found["node"] == SYSTEM or self._on_progress is None:
            return
        share = _SHARE.fullmatch(found["message"])
        fraction = 1.0 if found["status"] == "ready" else int(share[1]) / 100 if share else 0.0
        message = "" if share else found["message"]
        try:
            self._on_progress(Progress(found["node"], found["status"], fraction, message))
        except Exception:
            logger.exception("progress_callback_failed")

    # --- a lost connection ------------------------------------------------------------------------

    async def _opened_again(self, error: RemoteMediaError) -> RemoteMediaError | None:
        """Make a lost connection again; what stands against it is returned."""
        if self._reconnect is None:
            return error
        for pause_s in self._reconnect.pauses_s():
            if self._left or not is_connection_lost(error):
                return error
            logger.warning("connection_lost: %s; trying again in %.1f s", error.message, pause_s)
            await asyncio.sleep(pause_s)
            try:
                failure = await self._open()
            except UsageError as closed:
                return closed
            if failure is None:
                self.reconnects += 1
                return None
            error = failure
        return error


def _noted(task: asyncio.Task[None]) -> None:
    """Take note of how a write ended that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _control(command: streaming_pb2.StreamControl.Command) -> streaming_pb2.StreamRequest:
    return streaming_pb2.StreamRequest(control=streaming_pb2.StreamControl(command=command))
