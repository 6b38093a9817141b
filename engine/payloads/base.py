"""What all payloads have in common: their Arrow form, and a short repr.

Pure: no I/O, no clock. pyarrow is imported when it is first needed: an operator's module must
import fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from engine.payloads.checks import short

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.payloads import Payload


class PayloadBase:
    """Base of all payload classes.

    Anything that speaks the Arrow PyCapsule interface reads a payload as it is, as a table of its
    Arrow form: `pandas.DataFrame.from_arrow(payload)`, `polars.DataFrame(payload)`,
    `duckdb.from_arrow(payload)`.
    """

    __slots__ = ()

    def to_arrow(self) -> pa.RecordBatch:
        """The payload's Arrow form, see `engine.payloads.arrow`; without a copy where Arrow allows.

        Raises:
            ValueError: it has none: a Json value that JSON cannot express, text that is no Unicode.
        """
        from engine.payloads import arrow

        return arrow.to_arrow(cast("Payload", self))

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch) -> Self:
        """The payload a record batch of `to_arrow` stands for; arrays are views of its memory.

        Raises:
            ValueError: the batch is damaged, or stands for a payload of another kind.
        """
        from engine.payloads import arrow

        payload = arrow.from_arrow(batch)
        if type(payload) is not cls:
            raise ValueError(f"the record batch holds {type(payload).__name__}, not {cls.__name__}")
        return payload

    def __arrow_c_schema__(self) -> object:
        return self.to_arrow().schema.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        capsules: tuple[object, object] = self.to_arrow().__arrow_c_array__(requested_schema)
        return capsules

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)


class Fields(PayloadBase):
    """Base of the payloads that are dataclasses: their repr shows the beginning of each field."""

    __slots__ = ()

    def __repr__(self) -> str:
        names: dict[str, Any] = type(self).__dataclass_fields__  # type: ignore[attr-defined]
        fields = ", ".join(f"{name}={short(getattr(self, name))}" for name in names)
        return f"{type(self).__name__}({fields})"
