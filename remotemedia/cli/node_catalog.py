"""What is known of a node type: from its class and its params' model, as plain data.

Source: FR-002, US1.
"""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.errors import UsageError
from engine.manifest.params import accepted_spellings
from engine.operator import Operator, process_kind
from engine.wording import suggestion
from remotemedia.cli.param_schema import default_text, schema_of, type_text

if TYPE_CHECKING:
    from pydantic import BaseModel

    from engine.registry import Declaration, OperatorSpec, Registry

#: This project's own operators lie in folders of these packages.
_OWN: Final = ("operators", "engine")


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One line of the list.

    Attributes:
        node_type: its name in manifests.
        group: the folder of an operator of this project, else who brought it.
        accepts, emits: payload kinds; None: any.
        executor: where it runs if nobody says otherwise.
        summary: the first sentence of its documentation.
        fault: why it cannot be had, or ""; then the rest says nothing.
    """

    node_type: str
    group: str
    accepts: list[str] | None = None
    emits: list[str] | None = None
    executor: str = ""
    summary: str = ""
    fault: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-compatible data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ParamFacts:
    """One param.

    Attributes:
        name: as the operator has it.
        spellings: every way a manifest may write it, that one first.
        type: what it may be, in words.
        required: whether there is no default.
        default: the default, where there is one.
        description: what it is for, or "".
        hot: whether it may change while it runs.
        schema: the same as JSON schema.
    """

    name: str
    spellings: list[str]
    type: str
    required: bool
    default: Any = None
    description: str = ""
    hot: bool = False
    schema: dict[str, Any] = field(default_factory=dict)

    @property
    def default_text(self) -> str:
        """The default in words."""
        return "required" if self.required else f"default {default_text(self.default)}"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """Everything there is to know of a node type without running it.

    Attributes:
        node_type: its name in manifests.
        aliases: other node types with the same class.
        target: "module:qualname" of the class.
        origin: who brought it, or "".
        doc: its documentation.
        inputs, outputs: its ports, where its params leave it the choice: those of the defaults.
        ports_by_params: whether its ports depend on its params.
        accepts, emits: payload kinds; None: any.
        strict: whether another kind than it accepts is an error.
        executor: where it runs if nobody says otherwise.
        rule: the rule that says so.
        process: "sync", "coroutine" or "async_generator".
        begins_stage: whether a local node of this type begins a stage.
        stateful, joins, rate, held_max, concurrency: see `engine.operator.Operator`.
        unknown_params: whether it takes params that are not listed.
        params: its params.
    """

    node_type: str
    aliases: list[str]
    target: str
    origin: str
    doc: str
    inputs: list[str]
    outputs: list[str]
    ports_by_params: bool
    accepts: list[str] | None
    emits: list[str] | None
    strict: bool
    executor: str
    rule: str
    process: str
    begins_stage: bool
    stateful: bool
    joins: bool
    rate: str
    held_max: int | None
    concurrency: int
    unknown_params: bool
    params: list[ParamFacts]

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON-compatible data."""
        return asdict(self)


def rows_of(registry: Registry) -> list[NodeRow]:
    """A row for each node type, by group and name; imports every operator's module."""
    rows = [_row(declared, registry) for declared in registry.declarations()]
    return sorted(rows, key=lambda row: (row.group, row.node_type))


def _row(declared: Declaration, registry: Registry) -> NodeRow:
    name, group = declared.node_type, _group(declared)
    try:
        spec = registry.get(name)
    except UsageError as error:
        return NodeRow(name, group, fault=error.message)
    assert spec is not None
    cls = spec.cls
    return NodeRow(
        name, group, _listed(cls.accepts), _listed(cls.emits), _place(spec)[0], _summary(cls)
    )


def _group(declared: Declaration) -> str:
    package, _, rest = declared.target.partition(":")[0].partition(".")
    if package in _OWN and rest:
        return rest.partition(".")[0]
    return declared.origin or package or "not to be had"


def facts_of(node_type: str, registry: Registry) -> NodeFacts:
    """Everything about one node type.

    Raises:
        UsageError: there is no such type (says which is nearest), or its class cannot be had.
    """
    spec = registry.get(node_type)
    if spec is None:
        hint = suggestion(node_type, registry, "node types")
        raise UsageError(
            f"there is no node type {node_type!r}{hint} (see `remotemedia nodes list`)"
        )
    cls = spec.cls
    declared = {item.node_type: item for item in registry.declarations()}
    executor, rule = _place(spec)
    return NodeFacts(
        node_type=node_type,
        aliases=[
            name
            for name, item in declared.items()
            if item.target == spec.target and name != node_type
        ],
        target=spec.target,
        origin=declared[node_type].origin,
        doc=_doc(cls),
        inputs=list(cls.inputs),
        outputs=list(cls.outputs),
        ports_by_params=cls.ports.__func__ is not Operator.ports.__func__,  # type: ignore[attr-defined]
        accepts=_listed(cls.accepts),
        emits=_listed(cls.emits),
        strict=cls.strict,
        executor=executor,
        rule=rule,
        process=process_kind(cls),
        begins_stage=spec.begins_stage,
        stateful=cls.stateful,
        joins=cls.joins,
        rate=cls.rate,
        held_max=cls.held_max,
        concurrency=cls.concurrency,
        unknown_params=cls.Params.model_config.get("extra") == "allow",
        params=_params(cls.Params, cls.hot),
    )


def _place(spec: OperatorSpec) -> tuple[str, str]:
    """Where a node of this type runs where the manifest says nothing, and the rule."""
    if spec.cls.default_executor is not None:
        return spec.cls.default_executor, "operator"
    if spec.pattern and spec.node_type.endswith("Node"):
        return "process", "pattern"
    return "local", "default"


def _params(model: type[BaseModel], hot: frozenset[str]) -> list[ParamFacts]:
    schemas = schema_of(model)
    spellings = accepted_spellings(model)
    keys = {key: name for name, key in spellings.items() if name in model.model_fields}
    found = []
    for key, schema in schemas.items():
        name = keys.get(key, key)
        info = model.model_fields.get(name)
        others = sorted(word for word, meant in spellings.items() if meant == key and word != name)
        required = info is not None and info.is_required()
        default = schema.get("default") if not required else None
        if info is not None and info.default_factory is not None and "default" not in schema:
            default = info.get_default(call_default_factory=True, validated_data={})
        about = schema.get("description") or ""
        found.append(
            ParamFacts(
                name=name,
                spellings=[name, *others],
                type=type_text(schema),
                required=required,
                default=default,
                description=about,
                hot=name in hot,
                schema=schema,
            )
        )
    return found


def _doc(cls: type[Operator]) -> str:
    return inspect.cleandoc(cls.__doc__) if cls.__doc__ else ""


def _summary(cls: type[Operator]) -> str:
    """The first sentence of a class's documentation, on one line."""
    paragraph = " ".join(_doc(cls).partition("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return f"{sentence}." if stop else paragraph


def _listed(kinds: frozenset[str] | None) -> list[str] | None:
    return None if kinds is None else sorted(kinds)
