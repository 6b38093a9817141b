"""Lets through the packets a predicate is true of.

Source: FR-002. No I/O, no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from operators.flow.importable import load_function
from operators.flow.predicate import (
    Predicate,
    PredicateDocument,
    compile_predicate,
    predicate_reaches,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.operator import Context
    from engine.packet import Packet
    from engine.reach import Reach


class Select(Operator):
    """Hands on the packets that `when` is true of, and drops all others.

    What `when` may say:

    - `{"kind": "audio"}`: the payload is of this kind, or of one of a list of kinds;
    - `{"field": "speech.has_speech", "equals": true}`: a value inside its JSON, by a dotted path;
    - `{"text": {"matches": "^turn (on|off)"}}`: its text;
    - `{"metadata": {"lang": "en"}}`: its metadata has these strings;
    - `{"not": …}`, `{"all": […]}`, `{"any": […]}`: the opposite; every one; at least one;
    - `"package.module:function"`: whatever function(packet) says.

    A value (`field`, `text`, an entry of `metadata`) is tested by any of these, all of which must
    hold: `equals`, `ne`, `in` (a list) compare as JSON does, where 1 is 1.0, but not true; `gt`,
    `ge`, `lt`, `le` compare numbers among each other, or strings; `matches` finds a regular
    expression anywhere in a string; `exists` (true or false) asks whether there is a value at all.
    Where there is no value, or one of another type, a test does not hold, but `{"exists": false}`.
    """

    node_type = "SelectNode"
    hot = frozenset({"when"})

    class Params(BaseParams):
        when: PredicateDocument = Field(
            description='predicate, like {"kind": "text"} or {"field": "final", "equals": true}'
        )

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        return predicate_reaches("when", params.get("when"))

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._when: Predicate | None = None

    async def initialize(self, ctx: Context) -> None:
        self._when = compile_predicate(self.params.when, load_function)

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._when = compile_predicate(self.params.when, load_function)

    def process(self, packet: Packet, ctx: Context) -> Packet | None:
        assert self._when is not None, "process before initialize"
        return packet if self._when(packet) else None
