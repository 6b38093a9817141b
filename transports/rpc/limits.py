"""What the service allows, and what one call asks for within that.

Pure: no I/O, no clock. Source: FR-010, US3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from engine.errors import UsageError
from transports.rpc.conversion.buffers import InputRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.payloads import File
    from engine.plan import Plan
    from protos.remotemedia.v1 import common_pb2

MIB: Final = 1 << 20
#: Clients that may be attached to one session: each may open sockets and memory for its taps.
ATTACHED_MAX: Final = 32
#: The least a message may be bounded to: an ErrorResponse with all it may carry.
_MESSAGE_BYTES_MIN: Final = 65_536


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """The service's own limits, which no request exceeds.

    Attributes:
        message_bytes_max: size of one message, either way.
        timeout_s: from ready to result of one execution; also where the request says nothing.
        memory_mb: MiB that the processes of one session may use; None: any amount.
        audio_samples_max: samples of one audio buffer, all channels together.
        json_containers_max: lists and objects of one JSON text. With so many, reading it takes 0.2
            s, in which the service does nothing else, and 100 MB.
        init_wait_s: how long a stream may be open without an init.
        idle_timeout_s: how long a stream may be open without an input or an output.
        pending_chunks_max: chunks that one stream may have waiting for the pipeline.
        pending_bytes_max: the same in bytes of payload; one larger chunk may wait alone.
        allow_file: raises an InputError for a file that clients may not name; None: they may name
            any, which only nodes that open files make use of.

    Raises:
        UsageError: a value is out of range.
    """

    message_bytes_max: int = 10 * MIB
    timeout_s: float = 30.0
    memory_mb: int | None = None
    audio_samples_max: int = 10_000_000
    json_containers_max: int = 500_000
    init_wait_s: float = 30.0
    idle_timeout_s: float = 600.0
    pending_chunks_max: int = 1_024
    pending_bytes_max: int = 4 * MIB
    allow_file: Callable[[File], None] | None = None

    def __post_init__(self) -> None:
        if self.message_bytes_max < _MESSAGE_BYTES_MIN:
            raise UsageError(f"message_bytes_max must be at least {_MESSAGE_BYTES_MIN}")
        for name in ("timeout_s", "init_wait_s", "idle_timeout_s", "pending_chunks_max"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}")

    def for_call(self, asked: common_pb2.ResourceLimits) -> CallLimits:
        """What one call may take: what it asks for, as far as the service allows it.

        Args:
            asked: the request's limits; 0 in a field: the service's own.
        """
        timeout_s = self.timeout_s
        if asked.max_timeout_ms:
            timeout_s = min(timeout_s, asked.max_timeout_ms / 1e3)
        memory_mb = self.memory_mb
        if asked.max_memory_bytes:
            wanted_mb = -(-asked.max_memory_bytes // MIB)
            memory_mb = wanted_mb if memory_mb is None else min(memory_mb, wanted_mb)
        samples_max = self.audio_samples_max
        if asked.max_audio_samples:
            samples_max = min(samples_max, asked.max_audio_samples)
        rules = InputRules(samples_max, self.json_containers_max, self.allow_file)
        return CallLimits(timeout_s, memory_mb, rules)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What one call may take.

    Attributes:
        timeout_s: from ready to result, for an execution.
        memory_mb: MiB that the session's processes may use; None: what the settings say.
        rules: what its inputs may be.
    """

    timeout_s: float
    memory_mb: int | None
    rules: InputRules

    def applied_to(self, plan: Plan) -> Plan:
        """The plan with the call's limit of memory, where it is lower than the plan's own."""
        own_mb = plan.settings.max_session_memory_mb
        if self.memory_mb is None or (own_mb is not None and own_mb <= self.memory_mb):
            return plan
        settings = replace(plan.settings, max_session_memory_mb=self.memory_mb)
        return replace(plan, settings=settings)
