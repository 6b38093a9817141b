"""Drops what has come before.

Source: FR-002. No I/O; keeps 16 bytes for each of at most `memory` packets. As
https://reactivex.io/documentation/operators/distinct.html, in bounded memory.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Json, Text, kind_of
from engine.reach import functions
from operators.flow.importable import FunctionName, load_function
from operators.flow.json_path import JsonPath, parse_path
from operators.flow.values import is_control, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.operator import Context
    from engine.packet import Packet
    from engine.payloads import Payload
    from engine.reach import Reach

_DIGEST_BYTES = 16


class Distinct(Operator):
    """Hands on each packet whose key is none of the last `memory` different ones.

    The key is a text's string, JSON's value (1 is 1.0) or the field that is named, any other
    payload's whole content, or what `key` returns. A key that comes again is remembered anew.
    Control messages pass on.

    With a smaller `memory` the oldest keys are forgotten, with another `field` all of them.
    """

    node_type = "DistinctNode"
    stateful = True
    hot = frozenset({"memory", "until_changed", "field"})

    class Params(BaseParams):
        memory: int = Field(
            1_000, ge=1, le=1_000_000, description="different keys that are remembered"
        )
        until_changed: bool = Field(
            False, description="drop only what equals the packet right before it"
        )
        field: JsonPath = Field(
            "", description="dotted path of the key inside the JSON; empty: the whole value"
        )
        key: FunctionName | None = Field(
            None, description="function that takes a packet and returns its key, a JSON value"
        )

        @model_validator(mode="after")
        def _one_key(self) -> Self:
            if self.field and self.key is not None:
                raise ValueError("field and key both say what is compared: give one")
            if self.until_changed and "memory" in self.model_fields_set:
                raise ValueError("until_changed remembers one packet: leave memory out")
            return self

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        return functions(params, "key")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._path = parse_path(self.params.field)
        self._key: Callable[[Packet], Any] | None = None
        #: Keys that have come, the one that came longest ago first.
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    async def initialize(self, ctx: Context) -> None:
        if self.params.key is not None:
            self._key = load_function(self.params.key)

    def process(self, packet: Packet, ctx: Context) -> Packet | None:
        if is_control(packet):
            return packet
        digest = self._digest(packet)
        if digest in self._seen:
            self._seen.move_to_end(digest)
            return None
        self._seen[digest] = None
        self._forget_oldest()
        return packet

    def params_changed(self, before: Params, ctx: Context) -> None:
        if self.params.field != before.field:  # keys of one field say nothing of another's
            self._path = parse_path(self.params.field)
            self._seen.clear()
        self._forget_oldest()

    def reset(self, ctx: Context) -> None:
        self._seen.clear()

    def _forget_oldest(self) -> None:
        memory = 1 if self.params.until_changed else self.params.memory
        while len(self._seen) > memory:
            self._seen.popitem(last=False)

    def _digest(self, packet: Packet) -> bytes:
        """What stands for a packet's key.

        Raises:
            TypeError: a field is named and the payload is not JSON, or the key is no JSON value.
            ValueError: the JSON has no such field, or cannot be written.
        """
        payload = packet.payload
        if self._key is not None:
            content, kind = _json_bytes(self._key(packet)), "json"
        elif self._path or isinstance(payload, Json):
            content, kind = _json_bytes(value_of(packet, self._path)), "json"
        elif isinstance(payload, Text):
            content, kind = payload.text.encode(errors="surrogatepass"), "text"
        else:
            content, kind = _arrow_bytes(payload), kind_of(payload)
        return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, person=kind.encode()).digest()


def _arrow_bytes(payload: Payload) -> bytes:
    batch = payload.to_arrow()
    schema: bytes = batch.schema.serialize().to_pybytes()
    content: bytes = batch.serialize().to_pybytes()
    return schema + content


def _json_bytes(value: Any) -> bytes:
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    """A value in which equal numbers are written alike."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
