"""Control: what nodes tell each other about the stream itself.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from engine.payloads.base import Fields
from engine.payloads.checks import U32_MAX, U64_MAX, check_text, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class CancelSpeculation:
    """What was emitted speculatively for this span of media time is to be taken back.

    Attributes:
        from_ns: its first nanosecond.
        to_ns: the first one behind it.
    """

    from_ns: int
    to_ns: int

    def __post_init__(self) -> None:
        whole_number("from_ns", self.from_ns, 0, U64_MAX)
        whole_number("to_ns", self.to_ns, 0, U64_MAX)
        if self.from_ns > self.to_ns:
            raise ValueError(f"from_ns {self.from_ns} lies behind to_ns {self.to_ns}")


@dataclass(frozen=True, slots=True)
class BatchHint:
    """How many items a batching node should take together.

    Attributes:
        suggested_batch_size: at least 1.
    """

    suggested_batch_size: int

    def __post_init__(self) -> None:
        whole_number("suggested_batch_size", self.suggested_batch_size, 1, U32_MAX)


@dataclass(frozen=True, slots=True)
class DeadlineWarning:
    """The result is needed soon.

    Attributes:
        deadline_us: time left, in microseconds.
    """

    deadline_us: int

    def __post_init__(self) -> None:
        whole_number("deadline_us", self.deadline_us, 0, U64_MAX)


ControlMessage: TypeAlias = CancelSpeculation | BatchHint | DeadlineWarning

#: Name of each message, as in the Arrow form.
CONTROL_MESSAGES: dict[str, type[ControlMessage]] = {
    "cancel_speculation": CancelSpeculation,
    "batch_hint": BatchHint,
    "deadline_warning": DeadlineWarning,
}


@dataclass(slots=True, repr=False)
class Control(Fields):
    """A message about the stream.

    Attributes:
        message: CancelSpeculation, BatchHint or DeadlineWarning.
        segment_id: the segment it is about, or "".
        timestamp_ms: media time it is about, in milliseconds.
        metadata: any JSON value; None: there is none.
    """

    message: ControlMessage
    segment_id: str = ""
    timestamp_ms: int = 0
    metadata: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.message, ControlMessage):
            names = ", ".join(cls.__name__ for cls in CONTROL_MESSAGES.values())
            raise TypeError(
                f"Control.message must be one of {names}, got {type(self.message).__name__}"
            )
        check_text("Control", segment_id=self.segment_id)
        self.timestamp_ms = whole_number("Control.timestamp_ms", self.timestamp_ms, 0, U64_MAX)

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form, as far as the metadata is."""
        name = next(name for name, cls in CONTROL_MESSAGES.items() if cls is type(self.message))
        return {**asdict(self), "message": {name: asdict(self.message)}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Undo `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        ((name, fields),) = data["message"].items()
        return cls(**{**data, "message": CONTROL_MESSAGES[name](**fields)})
