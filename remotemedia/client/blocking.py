"""The client without a loop: each method waits. A thread of its own runs the loop.

Any thread may call them, also while another one waits in `receive`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from engine.packet import NO_METADATA
from engine.session.blocking import LoopThread
from remotemedia.client.blocking_hands import BlockingHands
from remotemedia.client.client import Client, Limits, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from engine.executors.contract import Progress
    from engine.interruption import Settlement
    from engine.packet import Packet
    from engine.payloads import Payload
    from engine.steering import ParamsTaken
    from protos.remotemedia.v1 import admin_pb2, common_pb2
    from remotemedia.client.channel import Tls
    from remotemedia.client.hands import Hands
    from remotemedia.client.manifests import PipelineLike, WireManifest
    from remotemedia.client.reconnect import Reconnect
    from remotemedia.client.stream import RemoteStream


class BlockingClient:
    """Calls one server. Use it as a context manager.

    See `Client` for what its methods do; they raise the same.
    """

    def __init__(self, address: str, *, token: str | None = None, tls: Tls | None = None) -> None:
        """Prepare; see `Client`."""
        self.address = address
        self._token = token
        self._tls = tls
        self._thread = LoopThread("remotemedia-client")
        self._client: Client | None = None

    def __enter__(self) -> Self:
        self._thread.__enter__()
        try:
            self._client = self._thread.call(self._open)
        except BaseException:
            self._thread.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._thread.complete(self._opened.aclose)
        finally:
            self._thread.__exit__(kind, error, traceback)

    async def _open(self) -> Client:
        return Client(self.address, token=self._token, tls=self._tls)

    @property
    def _opened(self) -> Client:
        if self._client is None:
            self._thread.call(_nothing)  # says that it is not open
        assert self._client is not None
        return self._client

    def version(self) -> common_pb2.VersionInfo:
        """See `Client.version`."""
        return self._thread.call(self._opened.version)

    def execute(
        self,
        pipeline: PipelineLike | WireManifest,
        inputs: Mapping[str, Payload] | Payload | None = None,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        timeout_s: float | None = None,
    ) -> Result:
        """See `Client.execute`."""
        return self._thread.call(
            self._opened.execute, pipeline, inputs, limits=limits, timeout_s=timeout_s
        )

    def stream(
        self,
        pipeline: PipelineLike | WireManifest,
        inputs: Mapping[str, Payload] | Payload | None = None,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        chunk_size: int = 0,
        on_progress: Callable[[Progress], object] | None = None,
        reconnect: Reconnect | None = None,
    ) -> BlockingStream:
        """See `Client.stream`; `on_progress` is called on the client's thread."""

        async def make() -> RemoteStream:
            return self._opened.stream(
                pipeline,
                inputs,
                limits=limits,
                chunk_size=chunk_size,
                on_progress=on_progress,
                reconnect=reconnect,
            )

        return BlockingStream(self._thread.call(make), self._thread)

    def attach(self, session_id: str, attach_id: str = "") -> BlockingHands:
        """See `Client.attach`: `with client.attach(session_id) as hands`."""

        async def make() -> Hands:
            return self._opened.attach(session_id, attach_id)

        return BlockingHands(self._thread.call(make), self._thread)

    def sessions(self) -> tuple[admin_pb2.SessionSummary, ...]:
        """See `Client.sessions`."""
        return self._thread.call(self._opened.sessions)

    def session(self, session_id: str) -> admin_pb2.GetSessionResponse:
        """See `Client.session`."""
        return self._thread.call(self._opened.session, session_id)

    def close_session(self, session_id: str, *, drain: bool = False) -> None:
        """See `Client.close_session`."""
        self._thread.call(self._opened.close_session, session_id, drain=drain)

    def interrupt(
        self, session_id: str, scope: str | None = None, *, reason: str = ""
    ) -> Settlement:
        """See `Client.interrupt`."""
        return self._thread.call(self._opened.interrupt, session_id, scope, reason=reason)

    def set_params(self, session_id: str, node: str, params: Mapping[str, Any]) -> ParamsTaken:
        """See `Client.set_params`."""
        return self._thread.call(self._opened.set_params, session_id, node, params)


class BlockingStream:
    """A session on a server. Use it as a context manager; iterate over it for its outputs."""

    def __init__(self, stream: RemoteStream, thread: LoopThread) -> None:
        """Take over a stream that is not started; see `BlockingClient.stream`."""
        self._stream = stream
        self._thread = thread

    def __enter__(self) -> Self:
        self._thread.call(self._stream.start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.complete(self._stream.aclose)

    def __iter__(self) -> Iterator[Packet]:
        while (packet := self.receive()) is not None:
            yield packet

    @property
    def session_id(self) -> str:
        """See `RemoteStream`."""
        return self._stream.session_id

    @property
    def close_reason(self) -> str:
        """See `RemoteStream`."""
        return self._stream.close_reason

    @property
    def final_metrics(self) -> common_pb2.ExecutionMetrics | None:
        """See `RemoteStream`."""
        return self._stream.final_metrics

    def send(
        self,
        payload: Payload,
        node: str | None = None,
        *,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> int:
        """See `RemoteStream.send`."""
        return self._thread.call(
            self._stream.send, payload, node, timestamp_ns=timestamp_ns, metadata=metadata
        )

    def send_group(
        self,
        payloads: Mapping[str, Payload],
        node: str | None = None,
        *,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> int:
        """See `RemoteStream.send_group`."""
        return self._thread.call(
            self._stream.send_group,
            payloads,
            node,
            timestamp_ns=timestamp_ns,
            metadata=metadata,
        )

    def receive(self) -> Packet | None:
        """See `RemoteStream.receive`."""
        return self._thread.call(self._stream.receive)

    def end_input(self) -> None:
        """See `RemoteStream.end_input`."""
        self._thread.call(self._stream.end_input)

    def attach(self, attach_id: str = "") -> BlockingHands:
        """See `RemoteStream.attach`: `with stream.attach() as hands`."""

        async def make() -> Hands:
            return self._stream.attach(attach_id)

        return BlockingHands(self._thread.call(make), self._thread)

    def interrupt(self, scope: str | None = None, *, reason: str = "") -> Settlement:
        """See `RemoteStream.interrupt`."""
        return self._thread.call(self._stream.interrupt, scope, reason=reason)


async def _nothing() -> None:
    pass
