"""Node: the older base class of nodes that are handed plain values.

What it had for running nodes by itself is gone: the engine runs them, see `operators`.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, Self

from remotemedia.core._compat.reporter import MAKING, Done, Reporter
from remotemedia.core._compat.session_state import SessionState, StateManager

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Arguments of constructors that a manifest says elsewhere.
NOT_PARAMS = frozenset(
    {"name", "node_id", "config", "session_id", "enable_state", "state_ttl", "max_sessions"}
)
#: A dict with one of these, behind data in a tuple, is metadata.
_METADATA_KEYS = frozenset({"session_id", "metadata", "user_name", "timestamp"})


class Node:
    """A processing step. `process` may be synchronous, a coroutine, or a generator of either kind.

    `initialize`, `cleanup` and `flush` are optional, and synchronous or coroutines.

    Attributes:
        name: the node's id in a session, the class's name elsewhere.
        config: what the constructor was given beyond its own arguments.
        logger: of the node.
        state: what it keeps per session, or None.
    """

    #: The node's id, type and session, once it runs.
    node_id: str = ""
    node_type: str = ""
    session_id: str = ""
    _reporter: Reporter | None = None
    _arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember what it is made with: `to_manifest` says it again."""
        node = super().__new__(cls)
        node._arguments = (args, kwargs)
        node._reporter = MAKING.get()
        return node

    def __init__(
        self,
        name: str | None = None,
        enable_state: bool = True,  # noqa: FBT001, FBT002 - the older API's own signature
        state_ttl: Any = None,
        max_sessions: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Name the node.

        Args:
            name: by default the class's.
            enable_state: whether it has a `state`.
            state_ttl: without effect: a session's state ends with the session.
            max_sessions: how many states it keeps at most.
            kwargs: its config.
        """
        del state_ttl
        self.name = name or type(self).__name__
        self.config: Any = kwargs
        self.logger = logging.getLogger(f"remotemedia.node.{self.name}")
        self.enable_state = enable_state
        self.state = StateManager(max_sessions) if enable_state else None
        self._is_initialized = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__module__.startswith("remotemedia.core._compat"):
            from remotemedia.core._compat.registration import adopt_subclass  # needs this module

            adopt_subclass(cls)

    # --- what nodes define --------------------------------------------------------------------

    def process(self, data: Any) -> Any:
        """Handle one item. None gives nothing; a generator gives what it yields."""
        raise NotImplementedError(f"{type(self).__name__} does not define process")

    def initialize(self) -> Any:
        """Load what process needs; called once, before the first item.

        Those who define it, synchronous or not, call or await this one.
        """
        self._is_initialized = True
        return Done()

    def cleanup(self) -> Any:
        """Release what initialize acquired; called once, also after an error. As `initialize`."""
        self._is_initialized = False
        return Done()

    # --- what nodes use -----------------------------------------------------------------------

    def publish_progress(
        self, status: Any, message: str = "", progress: float | None = None
    ) -> Done:
        """Say how far the start is; may be awaited, and called from any thread. Source: FR-009.

        Args:
            status: a word such as "loading_model".
            message: what it is doing.
            progress: 0…1; None: as before.
        """
        if self._reporter is not None:
            self._reporter.report(status, message, progress)
        return Done()

    @property
    def is_initialized(self) -> bool:
        """Whether initialize has returned."""
        return bool(getattr(self, "_is_initialized", False))

    def set_session_id(self, session_id: str) -> None:
        """Say which session it works for."""
        self.session_id = session_id

    def get_session_id(self) -> str | None:
        """The session it works for, or None."""
        return self.session_id or None

    async def get_session_state(self, session_id: str | None = None) -> SessionState | None:
        """What is kept for a session, by default its own; None without state or session."""
        wanted = session_id or self.session_id
        if self.state is None or not wanted:
            return None
        return await self.state.get_or_create_session(wanted)

    def extract_session_id(self, data: Any) -> str | None:
        """The session that data says it belongs to, or None."""
        if isinstance(data, dict) and "session_id" in data:
            return str(data["session_id"])
        _, metadata = self.split_data_metadata(data)
        return metadata.get("session_id") if metadata else None

    def split_data_metadata(self, data: Any) -> tuple[Any, dict[str, Any] | None]:
        """Data and what stands behind it: (data, {…}) or (samples, rate, {…})."""
        last = data[-1] if isinstance(data, tuple) and len(data) > 1 else None
        if isinstance(last, dict) and _METADATA_KEYS & last.keys():
            rest = data[:-1]
            return (rest[0] if len(rest) == 1 else rest), last
        return data, None

    def merge_data_metadata(self, data: Any, metadata: Mapping[str, Any] | None) -> Any:
        """Data with metadata behind it, undoing `split_data_metadata`."""
        if metadata is None:
            return data
        return (*data, metadata) if isinstance(data, tuple) else (data, metadata)

    # --- as part of a manifest ----------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The node as data."""
        return {"name": self.name, "class": type(self).__name__, "config": self.config}

    def get_capabilities(self) -> dict[str, Any] | None:
        """What it needs of a machine, as a manifest says it; None: nothing special."""
        return None

    def _extract_params(self) -> dict[str, Any]:
        """The params that make this node again."""
        made_with = arguments_of(type(self), *self._arguments)
        own = getattr(self, "config", None)  # a constructor may not have called this class's
        config = own if isinstance(own, dict) else {}
        params = {**config, **made_with}
        return {name: value for name, value in params.items() if name not in NOT_PARAMS}

    def to_manifest(
        self,
        include_capabilities: bool = True,  # noqa: FBT001, FBT002 - the older API's own signature
    ) -> dict[str, Any]:
        """The node's entry in a manifest; a pipeline gives it another id."""
        entry: dict[str, Any] = {
            "id": getattr(self, "name", "") or self.node_id or type(self).__name__,
            "node_type": node_type_of(type(self)),
            "params": self._extract_params(),
        }
        if getattr(self, "is_streaming", False):
            entry["is_streaming"] = True
        capabilities = self.get_capabilities() if include_capabilities else None
        return entry | ({"capabilities": capabilities} if capabilities else {})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={getattr(self, 'name', '')!r})"


def arguments_of(
    cls: type[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """What a constructor was called with, by name."""
    signature = inspect.signature(cls.__init__)
    bound = signature.bind_partial(None, *args, **kwargs).arguments
    named: dict[str, Any] = {}
    for index, (name, value) in enumerate(bound.items()):
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        elif index and kind is not inspect.Parameter.VAR_POSITIONAL:
            named[name] = value
    return named


def node_type_of(cls: type[Any]) -> str:
    """The type a class is known by in manifests."""
    operator = vars(cls).get("__operator__")
    return str(getattr(operator, "node_type", "") or cls.__name__)
