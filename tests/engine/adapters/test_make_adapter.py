"""engine.adapters: which adapter an operator gets."""

from engine.adapters import AsyncAdapter, SyncAdapter, make_adapter
from engine.testing import StageBench
from tests.engine.stage_helpers import operator


def test_the_adapter_fits_the_class():
    async def coroutine(packet, ctx):
        return packet

    async def generator(packet, ctx):
        yield packet

    stage = StageBench({"a": operator()}).stage
    assert type(make_adapter("a", operator(), stage, {})) is SyncAdapter
    assert type(make_adapter("a", operator(coroutine), stage, {})) is AsyncAdapter
    assert type(make_adapter("a", operator(generator), stage, {})) is AsyncAdapter
