"""What an old node keeps per session: a small store, filled by the node alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class SessionState:
    """What is kept for one session."""

    session_id: str
    data: dict[str, Any] = field(default_factory=dict)
    created_at: float = field(default_factory=time.time)
    metadata: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        """A value, or the default."""
        return self.data.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.data[key] = value

    def update(self, values: dict[str, Any]) -> None:
        """Keep several values."""
        self.data.update(values)

    def clear(self) -> None:
        """Forget everything."""
        self.data.clear()


class StateManager:
    """The states of one node's sessions; a node of the engine serves a single one."""

    def __init__(self, max_sessions: int | None = None) -> None:
        """Begin empty.

        Args:
            max_sessions: beyond it the oldest state is dropped; None: no bound.
        """
        self._states: dict[str, SessionState] = {}
        self._max_sessions = max_sessions

    async def get_or_create_session(self, session_id: str) -> SessionState:
        """The state of a session, new where there is none."""
        if session_id not in self._states:
            if self._max_sessions and len(self._states) >= self._max_sessions:
                self._states.pop(next(iter(self._states)))
            self._states[session_id] = SessionState(session_id)
        return self._states[session_id]

    async def get_session(self, session_id: str) -> SessionState | None:
        """The state of a session, or None."""
        return self._states.get(session_id)

    async def delete_session(self, session_id: str) -> bool:
        """Drop a session's state; says whether there was one."""
        return self._states.pop(session_id, None) is not None

    async def clear_all_sessions(self) -> None:
        """Drop every state."""
        self._states.clear()
