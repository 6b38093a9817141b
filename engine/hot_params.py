"""A node's params that may change while it runs. Pure: no I/O, no clock. Source: FR-006."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from engine.errors import UsageError
from engine.manifest.params import accepted_spellings
from engine.operator import param_problem, ports_of
from engine.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from engine.operator import Operator


def changed_params(operator: Operator, node_id: str, changes: Mapping[str, Any]) -> BaseModel:
    """An operator's params with some values changed; the operator itself stays as it is.

    Args:
        operator: the running node's.
        node_id: its id, for messages.
        changes: param → value, in snake_case or camelCase.

    Raises:
        UsageError: one is not hot, a value is not valid, or the node's ports would change.
    """
    cls = type(operator)
    before: BaseModel = operator.params
    keys = accepted_spellings(cls.Params)
    named = {keys[name]: value for name, value in _hot(cls, node_id, changes).items()}
    values = {keys.get(name, name): getattr(before, name) for name in before.model_fields_set}
    try:
        after = cls.Params.model_validate(values | named)
    except ValidationError as error:
        said = "; ".join(param_problem(item, cls.Params) for item in error.errors())
        raise UsageError(
            f"the params of node {node_id!r} were not changed: {said}", node_id=node_id
        ) from error
    ports = ports_of(cls, values | named)
    if ports != (operator.inputs, operator.outputs):
        raise UsageError(
            f"the params of node {node_id!r} were not changed: with these it would have other"
            f" ports, {ports}",
            node_id=node_id,
        )
    return after


def _hot(cls: type[Operator], node_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes by the names of the class's fields; all of them hot."""
    keys = accepted_spellings(cls.Params)
    fields = {keys[name]: name for name in cls.Params.model_fields}
    named: dict[str, Any] = {}
    for spelling, value in changes.items():
        name = fields.get(keys.get(spelling, ""), spelling)
        if name not in cls.hot:
            takes_any = cls.Params.model_config.get("extra") == "allow"
            known = name in cls.Params.model_fields or takes_any
            hint = "" if known else suggestion(spelling, cls.Params.model_fields, "params")
            what = "may not change while it runs" if known else f"is none of its params{hint}"
            may = f"only {', '.join(sorted(cls.hot))} may" if cls.hot else "none of its params may"
            raise UsageError(
                f"{spelling!r} of node {node_id!r} ({cls.node_type}) {what}; {may}; for another"
                " value, start another session",
                node_id=node_id,
                hot=sorted(cls.hot),
            )
        named[name] = value
    return named
