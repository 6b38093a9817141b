"""Answers text by rules.

Source: FR-002. No I/O, no state.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Text

if TYPE_CHECKING:
    from typing import Any, Self

    from engine.operator import Context, Outputs
    from engine.packet import Packet


class Rule(BaseModel):
    """A pattern, and the reply to text in which it is found.

    Attributes:
        pattern: regular expression, looked for anywhere in the text; `(?i)` ignores case.
        reply: the answer. `{name}` stands for what the pattern's group `(?P<name>…)` has matched,
            `{{` for a brace.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: str = Field(description="regular expression, looked for anywhere in the text")
    reply: str = Field(description="answer; {name} stands for the pattern's group of that name")
    _compiled: re.Pattern[str] = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        try:
            self._compiled = re.compile(self.pattern)
        except re.error as error:
            where = "" if error.pos is None else f" at position {error.pos}"
            raise ValueError(
                f"pattern {self.pattern!r} is no regular expression: {error.msg}{where}"
            ) from error
        try:
            fields = [field for _, *field in Formatter().parse(self.reply) if field[0] is not None]
        except ValueError as error:
            raise ValueError(f"reply {self.reply!r} is no template: {error}") from error
        for name, layout, conversion in fields:
            if layout or conversion:
                raise ValueError(f"reply {self.reply!r}: write {{{name}}} without : or !")
            if name not in self._compiled.groupindex:
                groups = ", ".join(self._compiled.groupindex) or "none"
                raise ValueError(
                    f"reply {self.reply!r} asks for {{{name}}}, but the pattern's groups are:"
                    f" {groups}"
                )
        return self

    def answer(self, text: str) -> str | None:
        """The reply to a text, or None if the pattern is not in it; unmatched groups are empty."""
        found = self._compiled.search(text)
        return None if found is None else self.reply.format_map(found.groupdict(default=""))


class RuleReply(Operator):
    """Replies to text with the first rule whose pattern is found in it, else with `fallback`.

    A rule is `{"pattern": "(?i)my name is (?P<who>[a-z]+)", "reply": "Hello {who}"}`: a regular
    expression that is looked for anywhere in the text, and the reply, in which `{who}` stands for
    what the group of that name has matched, and `{{` for a brace.

    Without either it stays silent. The reply keeps language and channel of the text. Payloads that
    are not text pass through.
    """

    node_type = "RuleReplyNode"
    accepts = frozenset({"text"})
    emits = frozenset({"text"})
    hot = frozenset({"rules", "fallback"})

    class Params(BaseParams):
        rules: tuple[Rule, ...] = Field((), description="tried in order, the first match answers")
        fallback: str | None = Field(None, description="answer to everything else")

    params: Params

    def process(self, packet: Packet, ctx: Context) -> Outputs:
        heard = packet.payload
        if not isinstance(heard, Text):
            return packet
        answers: Any = (rule.answer(heard.text) for rule in self.params.rules)
        reply = next((answer for answer in answers if answer is not None), self.params.fallback)
        return None if reply is None else Text(reply, heard.language, heard.channel)
