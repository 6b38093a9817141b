"""Every operator of the catalogue keeps the contract of operators, with the inputs of its case."""

from __future__ import annotations

import pytest

from engine.manifest.params import normalize_params
from engine.payloads import Json
from engine.registry import resolve
from engine.testing import check_operator
from operators.catalog import NODE_TYPES
from tests.operators.test_every_executor import CASES

#: One node type for each class.
TYPES = {target: node_type for node_type, target in NODE_TYPES.items()}
#: A Json among their inputs is a setting, which an interrupt is meant to leave as it is.
SET_BY_JSON = {"GainNode"}
#: An interrupt is meant to leave what they have written.
WRITERS = {"MediaWriterNode"}


@pytest.mark.parametrize("target", sorted(TYPES))
def test_an_operator_keeps_its_contract(target):
    cls, node_type = resolve(target), TYPES[target]
    params, make_inputs = CASES[node_type]
    params, problems = normalize_params(cls.Params, params, "params", "node")
    assert not problems
    inputs = make_inputs()
    if node_type in SET_BY_JSON:
        inputs = [payload for payload in inputs if not isinstance(payload, Json)]
    check_operator(cls(**params), inputs, outlasts_interrupts=node_type in WRITERS)
