"""What all tables of runtime.toml have in common. Pure: no I/O, no clock. Source: FR-005."""

from __future__ import annotations

from pydantic import AliasChoices, AliasGenerator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


def _both_spellings(name: str) -> AliasChoices:
    return AliasChoices(name, to_camel(name))


class Table(BaseModel):
    """A table whose keys may be written in snake_case or camelCase."""

    # Unknown keys are kept, so that the caller can name them.
    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        alias_generator=AliasGenerator(validation_alias=_both_spellings),
        use_attribute_docstrings=True,
    )
