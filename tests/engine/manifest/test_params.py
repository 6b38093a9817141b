"""A node's params: spellings and validation."""

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from engine.manifest.params import accepted_spellings, normalize_params


class Plain(BaseModel):
    chunk_size: int = Field(512, ge=1)
    sample_rate: int = 16_000
    words: list[str] = []


class Strange(BaseModel):
    loudness: float = Field(0.0, alias="gainDb")
    factor: int = Field(1, validation_alias=AliasChoices("factor", "multiplier"))


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    voice_name: str = "a"


class Needy(BaseModel):
    model_path: str

    @field_validator("model_path")
    @classmethod
    def exists(cls, value):
        if value == "none":
            raise ValueError("there is no such model")
        return value


class Range(BaseModel):
    low: int = 0
    high: int = 0

    @model_validator(mode="after")
    def ordered(self):
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def normalize(model, **raw):
    params, problems = normalize_params(model, raw, "nodes[0].params", "a")
    return params, [(problem.severity, str(problem)) for problem in problems]


@pytest.mark.parametrize("name", ["chunkSize", "chunk_size"])
def test_both_spellings_are_taken(name):
    assert normalize(Plain, **{name: 3}) == ({"chunk_size": 3}, [])


def test_values_stay_as_the_document_has_them():
    params, problems = normalize(Plain, sampleRate="8000")
    assert params == {"sample_rate": "8000"}
    assert problems == []


def test_an_unknown_param_is_dropped_with_a_warning_that_names_the_nearest():
    params, problems = normalize(Plain, chunk_sizes=3)
    assert params == {}
    ((severity, text),) = problems
    assert severity == "warning"
    assert text.startswith("nodes[0].params.chunk_sizes:")
    assert text.endswith("did you mean 'chunk_size'?")


def test_an_open_model_keeps_what_it_does_not_know():
    assert normalize(Open, voiceName="b", other_thing=1) == (
        {"voice_name": "b", "other_thing": 1},
        [],
    )


def test_a_wrong_value_is_blamed_in_the_documents_own_spelling():
    _, problems = normalize(Plain, chunkSize=0, words=["a", 3])
    assert problems == [
        ("error", "nodes[0].params.chunkSize: must be greater than or equal to 1, got 0"),
        ("error", "nodes[0].params.words[1]: must be a string, got 3"),
    ]


def test_a_missing_param_and_a_validators_own_words():
    assert normalize(Needy)[1] == [("error", "nodes[0].params.model_path: is required and missing")]
    assert normalize(Needy, modelPath="none")[1] == [
        ("error", 'nodes[0].params.modelPath: there is no such model, got "none"')
    ]


def test_what_concerns_all_params_is_blamed_on_all_of_them():
    assert normalize(Range, low=3)[1] == [("error", "nodes[0].params: low is above high")]


def test_both_spellings_at_once_are_a_warning():
    params, problems = normalize(Plain, chunkSize=3, chunk_size=4)
    assert params == {"chunk_size": 3}
    assert problems == [
        ("warning", "nodes[0].params.chunk_size: is ignored: 'chunkSize' says the same")
    ]


def test_aliases_are_spellings_too_and_the_model_gets_the_one_it_takes():
    for name in ("gainDb", "gain_db", "loudness"):
        assert normalize(Strange, **{name: 3.0}) == ({"gainDb": 3.0}, [])
    for name in ("factor", "multiplier"):
        params, problems = normalize(Strange, **{name: 3})
        assert problems == []
        assert Strange(**params).factor == 3


def test_spellings_are_made_once_for_a_model():
    assert accepted_spellings(Plain) is accepted_spellings(Plain)


class Either(BaseModel):
    addend: float | int = 0
    route: list[str | dict[str, int]] = []


def test_a_param_of_several_types_is_one_problem_in_its_own_place():
    _, problems = normalize(Either, addend="many")
    assert problems == [
        (
            "error",
            'nodes[0].params.addend: must be a valid number or a valid integer, got "many"',
        )
    ]


def test_what_is_inside_one_of_several_types_keeps_its_place():
    _, problems = normalize(Either, route=["a", 3, {"b": "c"}])
    assert [text.partition(": ")[0] for _, text in problems] == [
        "nodes[0].params.route[1]",
        "nodes[0].params.route[2]",
        "nodes[0].params.route[2].b",
    ]
    assert problems[0][1].endswith(": must be a string or an object, got 3")
