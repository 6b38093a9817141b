"""engine.hot_params: which params of a running node may change, and to what."""

import pytest
from pydantic import Field, model_validator

from engine.errors import UsageError
from engine.hot_params import changed_params
from engine.operator import Operator, Params, Ports


class Gain(Operator):
    """Has hot params and others."""

    hot = frozenset({"gain_db", "max_gain"})

    class Params(Params):
        gain_db: float = Field(0.0, ge=-60, le=60)
        max_gain: float = 10.0
        model: str = "small"

        @model_validator(mode="after")
        def below_the_maximum(self):
            if self.gain_db > self.max_gain:
                raise ValueError("gain_db lies above max_gain")
            return self


class Plain(Operator):
    """Has no hot params."""

    class Params(Params):
        count: int = 1


class Wide(Operator):
    """Has as many outputs as a hot param says."""

    hot = frozenset({"count", "name"})

    class Params(Params):
        count: int = 2
        name: str = ""

    @classmethod
    def ports(cls, params):
        return Ports(("in",), tuple(f"out{number}" for number in range(params.count)))


def test_hot_params_change_and_the_others_stay_as_they_were():
    operator = Gain(gain_db=1, model="large")
    after = changed_params(operator, "g", {"gain_db": 3})
    assert (after.gain_db, after.model, after.max_gain) == (3.0, "large", 10.0)
    assert operator.params.gain_db == 1.0


def test_both_spellings_are_understood():
    assert changed_params(Gain(), "g", {"gainDb": 3, "max_gain": 4}).gain_db == 3.0


def test_what_was_not_said_stays_a_default():
    after = changed_params(Gain(model="large"), "g", {"gain_db": 3})
    assert after.model_fields_set == {"model", "gain_db"}


def test_no_change_is_one_too():
    assert changed_params(Gain(gain_db=2), "g", {}) == Gain(gain_db=2).params


def test_a_param_that_may_not_change_is_refused_with_those_that_may():
    with pytest.raises(UsageError, match=r"'model' of node 'g' .*may not change") as caught:
        changed_params(Gain(), "g", {"gain_db": 1, "model": "x"})
    assert "only gain_db, max_gain may" in caught.value.message
    assert caught.value.context["hot"] == ["gain_db", "max_gain"]
    assert caught.value.context["node_id"] == "g"


def test_an_unknown_param_is_refused_with_what_may_have_been_meant():
    with pytest.raises(UsageError, match=r"none of its params.*gain_db"):
        changed_params(Gain(), "g", {"gain_dB": 1})


def test_a_node_without_hot_params_says_so():
    with pytest.raises(UsageError, match="none of its params may"):
        changed_params(Plain(), "p", {"count": 2})


@pytest.mark.parametrize("value", ["loud", 61, None])
def test_a_value_that_is_not_valid_is_refused(value):
    with pytest.raises(UsageError, match=r"params of node 'g' were not changed: .*gain_?[dD]b"):
        changed_params(Gain(), "g", {"gain_db": value})


def test_all_values_are_validated_together():
    operator = Gain(gain_db=5)
    assert changed_params(operator, "g", {"gain_db": 20, "max_gain": 30}).gain_db == 20.0
    with pytest.raises(UsageError, match="gain_db lies above max_gain"):
        changed_params(operator, "g", {"gain_db": 20})
    with pytest.raises(UsageError, match="gain_db lies above max_gain"):
        changed_params(operator, "g", {"max_gain": 4})


def test_ports_cannot_change():
    with pytest.raises(UsageError, match="other ports"):
        changed_params(Wide(), "w", {"count": 3})
    assert changed_params(Wide(), "w", {"count": 2, "name": "x"}).name == "x"
