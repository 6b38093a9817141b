"""The sessions that clients have open: found by id, and ended whatever becomes of the call.

Source: FR-008, SC-006.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.session.session import Session
from transports.rpc.errors import STOPPED
from transports.rpc.inputs import Chunk
from transports.rpc.security.caller import caller, may_see

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from engine.plan import Plan
    from transports.rpc.inbox import Inbox

logger = logging.getLogger("remotemedia.rpc")

#: How long a call waits for its session to be gone before it ends without it. A session that ends
#: well is gone within milliseconds; one whose processes have to be killed goes on by itself.
_AWAITED_S: Final = 1.0
#: Characters of a session's error in the log.
_REASON_MAX: Final = 500


@dataclass(eq=False, slots=True)
class LiveSession:
    """A session that a client has open.

    Attributes:
        id: what clients call it: a UUID.
        session: the session.
        method: the call that opened it, "ExecutePipeline" or "StreamPipeline".
        peer: who opened it, as the transport names it.
        began_s: when, in seconds since 1970.
        error: why it failed, once it has; None where it ended well, or its client left.
        attached: clients that are attached to it.
        waiting: inputs that its call has taken and the session has not, or None.
        drop_entering: drops the one that is about to enter, unless it stays.
        owner: the client that opened it, see `security.caller`.
        ended_by: why others than its client ended it before its time, or "".
        on_stop: tells its call that it was ended by others.
        ended: set once nothing of it is left.
    """

    id: str
    session: Session
    method: str
    peer: str
    began_s: float
    error: BaseException | None = None
    attached: int = 0
    waiting: Inbox[Any] | None = None
    drop_entering: Callable[[Callable[[object], bool]], None] = lambda _: None
    owner: str = field(default_factory=caller)
    ended_by: str = ""
    on_stop: Callable[[], None] = lambda: None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def plan(self) -> Plan:
        """What it runs."""
        return self.session.plan

    def stop(self, reason: str) -> None:
        """End it before its time; its call says why, and ends soon, whether or not that is read.

        Args:
            reason: what the client is told, unless it has failed or was ended before.
        """
        if self.session.phase not in {"stopping", "closed"}:
            self.ended_by = reason
        self.session.cancel()
        self.on_stop()

    def drop_waiting(
        self, nodes: Collection[str], wanted: Callable[[Chunk], bool] = lambda _: False
    ) -> Counter[str]:
        """Drop inputs that have not entered the session yet, as an interrupt asks for.

        Args:
            nodes: those whose inputs are meant.
            wanted: says of such an input whether it stays all the same.

        Returns:
            How many were dropped, by node.
        """
        dropped: Counter[str] = Counter()
        if self.waiting is None:
            return dropped

        def stays(item: object) -> bool:
            # What is no chunk says how the input ends.
            if not isinstance(item, Chunk) or item.node_id not in nodes or wanted(item):
                return True
            dropped[item.node_id] += 1
            return False

        self.drop_entering(stays)
        self.waiting.keep(stays)
        return dropped


_CURRENT: Final[ContextVar[str]] = ContextVar("remotemedia_session", default="")


def current_session_id() -> str:
    """The session that the running task's call has opened; "" where it has opened none."""
    return _CURRENT.get()


class SessionRegistry:
    """The sessions that are open, by id.

    Attributes:
        opened: how many have been opened, by method.
        on_end: told of each session that has ended.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.opened: Counter[str] = Counter()
        self.on_end: Callable[[LiveSession], None] = lambda _: None
        self._live: dict[str, LiveSession] = {}
        self._endings: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Sessions that have not ended."""
        return len(self._live)

    def __iter__(self) -> Iterator[LiveSession]:
        """They, the oldest first."""
        return iter(tuple(self._live.values()))

    def get(self, session_id: str) -> LiveSession | None:
        """The session of an id, also written without its hyphens or in capitals; or None.

        None also where it is another client's than the one whose call this is.
        """
        try:
            live = self._live.get(str(uuid.UUID(session_id)))
        except ValueError:
            return None
        return live if live is not None and may_see(live.owner) else None

    def visible(self) -> list[LiveSession]:
        """Those that the client may see whose call this is, the oldest first."""
        return [live for live in self if may_see(live.owner)]

    def open(self, plan: Plan, method: str, peer: str) -> LiveSession:
        """Make a session; `start` it, and `end` it whatever happens.

        Args:
            plan: what it runs.
            method: the call it belongs to.
            peer: whose call it is.
        """
        # As clients write it, in every log and title too.
        session = Session(plan, session_id=str(uuid.uuid4()))
        live = LiveSession(session.id, session, method, peer, time.time())
        self._live[live.id] = live
        self.opened[method] += 1
        _CURRENT.set(live.id)
        facts = {"session_id": live.id, "method": method, "plan": plan.name}
        logger.info("session_opened", extra=facts | ({"client": live.owner} if live.owner else {}))
        return live

    async def end(self, live: LiveSession) -> None:
        """End a session: at once if it has not finished.

        Waits until nothing of it is left, or one second; then it goes on without anybody. A
        cancelled call changes nothing about that.
        """
        if self._end_nowait(live):
            return
        ending = self._endings.get(live.id)
        if ending is None:
            ending = self._endings[live.id] = asyncio.create_task(self._end(live))
        await asyncio.wait({ending}, timeout=_AWAITED_S)

    async def wait_all_ended(self, timeout_s: float) -> bool:
        """Wait until no session is open; False: some still were when the time was over."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._live:
                    await next(iter(self)).ended.wait()
        except TimeoutError:
            return not self._live
        return True

    def end_behind(self, live: LiveSession) -> bool:
        """End a session that has finished while its call goes on, if nobody has to wait for that.

        Of one that has no process only its operators' cleanup is left. Where the number of sessions
        is bounded, the next call must not find this one still counted.

        Returns:
            Whether that was possible; otherwise `end` it.
        """
        plan = live.plan
        if live.session.phase != "finished" or plan.workers:
            return False
        if self._end_nowait(live):
            return True
        if plan.settings.max_sessions:
            return False
        self._endings.setdefault(live.id, asyncio.create_task(self._end(live)))
        return True

    async def end_all(self) -> None:
        """End all sessions at once, and wait until nothing of them is left."""
        for live in self:
            live.stop(STOPPED)
        endings = [self.end(live) for live in self]
        await asyncio.gather(*endings)
        await asyncio.gather(*self._endings.values(), return_exceptions=True)

    def _end_nowait(self, live: LiveSession) -> bool:
        """End a session if nobody has to wait for that; whether it has ended, now or before."""
        if live.id in self._live and live.id not in self._endings and live.session.close_nowait():
            self._forget(live)
        return live.id not in self._live

    async def _end(self, live: LiveSession) -> None:
        try:
            await live.session.aclose()
        except Exception:
            logger.exception("session_not_ended", extra={"session_id": live.id})
        finally:
            self._forget(live)

    def _forget(self, live: LiveSession) -> None:
        self._live.pop(live.id, None)
        self._endings.pop(live.id, None)
        live.ended.set()
        self.on_end(live)
        facts = {"session_id": live.id, "method": live.method}
        if live.error is None:
            logger.info("session_ended", extra=facts)
            return
        why = getattr(live.error, "message", "") or type(live.error).__name__
        logger.warning("session_failed: %s", why[:_REASON_MAX], extra=facts)
