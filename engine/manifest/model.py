"""Manifest v1 as pydantic models: the fields there are, and what may stand in them.

Pure: no I/O, no clock. Source: FR-001, FR-006, SC-001.

Fields nobody knows are legal and kept. Each field is read in snake_case and in camelCase, and
written in snake_case. Wire spellings are renamed here and nowhere else (`from` → `source`,
`to_port` → `target_port`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
)
from pydantic.alias_generators import to_camel

VERSION = "v1"


def _both_spellings(name: str) -> AliasChoices:
    return AliasChoices(name, to_camel(name))


def _object(value: Any) -> Any:
    """Clients that write out absent fields send null for an object."""
    return {} if value is None else value


def _flag(value: Any) -> Any:
    return False if value is None else value


_Text = Annotated[StrictStr, Field(min_length=1)]
_Flag = Annotated[StrictBool, BeforeValidator(_flag)]
_Object = Annotated[dict[str, Any], BeforeValidator(_object)]
_Quantity = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


def _place(value: Any) -> Any:
    """Say one sentence about what is no executor, instead of one for each of its spellings."""
    group = value.get("process") if isinstance(value, Mapping) else value
    if value is None or isinstance(value, ProcessGroup) or (isinstance(group, str) and group):
        return value
    raise ValueError('must be a string, or {"process": "name of a group"}')


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        alias_generator=AliasGenerator(validation_alias=_both_spellings),
        use_attribute_docstrings=True,
    )


class Gpu(_Part):
    """A graphics processor a node asks for."""

    type: Literal["cuda", "rocm", "metal", "vulkan", "any"]
    """Its interface."""
    min_memory_gb: _Quantity | None = None
    """Memory it must have."""
    required: _Flag = True
    """Whether the node cannot do without."""


class Cpu(_Part):
    """Processors a node asks for."""

    cores: Annotated[StrictInt, Field(ge=1)]
    """How many."""
    arch: Literal["x86_64", "aarch64", "arm", "any"] | None = None
    """Of which architecture."""


class Capabilities(_Part):
    """What a node asks of the machine."""

    gpu: Gpu | None = None
    """Its graphics processor."""
    cpu: Cpu | None = None
    """Its processors."""
    memory_gb: _Quantity | None = None
    """Memory in all."""


class Metadata(_Part):
    """What the manifest says about itself."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=255)]
    """The pipeline's name."""
    description: StrictStr | None = None
    """For people."""
    created_at: StrictStr | None = None
    """When it was written, ISO 8601."""
    multiprocess: _Object = Field(default_factory=dict)
    """Settings for its sessions: the keys of [multiprocess] in runtime.toml."""


class ProcessGroup(_Part):
    """A process that several nodes share."""

    process: _Text
    """The group's name: all nodes that say the same one run in one process."""


class Restart(_Part):
    """What happens when the process of a node fails."""

    max: Annotated[StrictInt, Field(ge=1)] = 3
    """How often it is started again, in all."""
    backoff_ms: Annotated[StrictInt, Field(ge=0)] = 100
    """Pause before the first time; twice as long before each further one, at most 30 s, while no
    packet succeeds."""


class Node(_Part):
    """One node of the graph."""

    id: Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    """Its name; unique in the manifest."""
    node_type: _Text
    """Which operator does its work."""
    params: _Object = Field(default_factory=dict)
    """The operator's params."""
    is_streaming: _Flag = False
    """Kept; every node streams."""
    capabilities: Capabilities | None = None
    """What it asks of the machine."""
    host: Annotated[StrictStr, Field(pattern=r"^[^:]+:\d+$")] | None = None
    """The server it runs on, as host:port."""
    runtime_hint: Any = None
    """Kept; has no effect."""
    executor: Annotated[_Text | ProcessGroup | None, BeforeValidator(_place)] = None
    """Where it runs: "local", "process", or {"process": "name"} for a process that it shares with
    all nodes of that name. Absent: the operator or the rules decide."""
    is_output_node: _Flag = False
    """Whether its outputs leave the session although other nodes take them too."""
    process_timeout_ms: Annotated[StrictInt, Field(ge=1)] | None = None
    """Bound on one turn of the node."""
    restart: Restart | None = None
    """Start its process again when it fails, for a node that keeps no state. Absent: the session
    fails."""


class Connection(_Part):
    """A link from an output port of one node to an input port of another."""

    source: _Text = Field(validation_alias="from", serialization_alias="from")
    """Id of the node that emits, or `id.port`."""
    target: _Text = Field(validation_alias="to", serialization_alias="to")
    """Id of the node that receives, or `id.port`."""
    source_port: _Text | None = Field(
        None,
        validation_alias=AliasChoices("from_port", "fromPort"),
        serialization_alias="from_port",
    )
    """Its output port; absent: `out`, or the only one there is."""
    target_port: _Text | None = Field(
        None,
        validation_alias=AliasChoices("to_port", "toPort"),
        serialization_alias="to_port",
    )
    """Its input port; absent: `in`, or the only one there is."""
    capacity: Annotated[StrictInt, Field(ge=1)] | None = None
    """Packets the link may hold; absent: the session's channel_capacity."""
    overflow: _Text | None = None
    """What a full link does: `block`, `drop_oldest`, `drop_newest`, `latest` or `error`; absent:
    `block`, or `drop_oldest` where `enable_backpressure` is false."""
    max_age_ms: Annotated[StrictInt, Field(ge=1)] | None = None
    """How long a packet may wait on a link before it is dropped; absent: as long as it takes."""


class Manifest(_Part):
    """A pipeline: nodes and the connections between them."""

    version: Literal["v1"]
    """Version of the format."""
    metadata: Metadata
    """What the manifest says about itself."""
    nodes: Annotated[list[Node], Field(min_length=1)]
    """The nodes."""
    connections: list[Connection]
    """The links between them."""

    def to_dict(self) -> dict[str, Any]:
        """The document again: what was set and nothing else, unknown fields included."""
        return self.model_dump(by_alias=True, exclude_unset=True)
