"""A session's life as a state machine.

Pure: no I/O, no clock; `now_ns` is an argument. Source: FR-008, SC-006.

    created ─start─▶ starting ─ready─▶ running ─input ended─▶ draining ─all finished─▶ finished
                         │                │                       │                       │
                         └─ error, stop ──┴───────────────────────┴──▶ stopping ◀── stop ─┘
                                                                           │
                                                                       all gone ─▶ closed
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from engine.errors import EdgeClosedError, PeerDiedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.errors import RemoteMediaError

#: How long the session waits for the cause behind an error that can only be a consequence.
CAUSE_GRACE_NS = 1_000_000_000


class Phase(enum.Enum):
    """Where a session is."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    FINISHED = "finished"
    STOPPING = "stopping"
    CLOSED = "closed"


class SessionState:
    """Decides what a session may do, when it has finished, and which error it failed with.

    Attributes:
        phase: where it is.
        error: why it failed, or None.
    """

    def __init__(self, stage_ids: Iterable[str]) -> None:
        self.phase = Phase.CREATED
        self.error: RemoteMediaError | None = None
        self._unfinished = set(stage_ids)
        self._consequence: RemoteMediaError | None = None
        self._cause_due_ns: int | None = None

    def start(self) -> None:
        """The session begins to start.

        Raises:
            UsageError: it was started before.
        """
        if self.phase is not Phase.CREATED:
            raise UsageError("a session can be started once; make a new one from the pipeline")
        self.phase = Phase.STARTING

    def ready(self) -> bool:
        """Every stage is initialized; False if the session has failed or was ended meanwhile."""
        if self.phase is not Phase.STARTING:
            return False
        self.phase = Phase.RUNNING
        return True

    def input_ended(self) -> bool:
        """Nothing more will be sent; False if that was said before or makes no difference."""
        if self.phase is not Phase.RUNNING:
            return False
        self.phase = Phase.DRAINING
        self._finish_if_all_have()
        return True

    def stage_finished(self, stage_id: str) -> None:
        """A stage has processed everything."""
        self._unfinished.discard(stage_id)
        self._finish_if_all_have()

    def runs(self, stage_id: str) -> bool:
        """Whether a stage has not finished."""
        return stage_id in self._unfinished

    def failed(self, error: RemoteMediaError, now_ns: int) -> bool:
        """A part failed. The first cause wins; what follows from a peer's end waits for its cause.

        Once all stages have finished there is no other cause to wait for.

        Returns:
            Whether the session has failed by this.
        """
        if self.error is not None or self.phase in {Phase.STOPPING, Phase.CLOSED}:
            return False
        consequence = isinstance(error, PeerDiedError | EdgeClosedError)
        if consequence and self.phase is not Phase.FINISHED:
            if self._consequence is None:
                self._consequence = error
                self._cause_due_ns = now_ns + CAUSE_GRACE_NS
            return False
        self._fail(error)
        return True

    def tick(self, now_ns: int) -> bool:
        """Time has passed; whether the session has failed by that: no cause came forward."""
        due_ns = self._cause_due_ns
        if due_ns is None or now_ns < due_ns or self._consequence is None:
            return False
        if self.error is not None or self.phase in {Phase.STOPPING, Phase.CLOSED}:
            return False
        self._fail(self._consequence)
        return True

    def next_due_ns(self) -> int | None:
        """When `tick` wants to be called."""
        return self._cause_due_ns

    def stop(self) -> None:
        """Everything is being ended."""
        if self.phase is not Phase.CLOSED:
            self.phase = Phase.STOPPING

    def closed(self) -> None:
        """Nothing of it is left."""
        self.phase = Phase.CLOSED

    @property
    def accepts_input(self) -> bool:
        """Whether packets may be sent."""
        return self.phase is Phase.RUNNING

    @property
    def all_finished(self) -> bool:
        """Whether every stage has processed everything, whatever became of the session then."""
        return not self._unfinished

    def _fail(self, error: RemoteMediaError) -> None:
        self.error = error
        self._cause_due_ns = None
        self.phase = Phase.STOPPING

    def _finish_if_all_have(self) -> None:
        # Also without an end of input: a pipeline that takes only so many packets finishes early.
        if not self._unfinished and self.phase in {Phase.RUNNING, Phase.DRAINING}:
            self.phase = Phase.FINISHED
