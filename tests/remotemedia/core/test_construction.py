"""Old constructors, whatever their signature, get what the manifest says."""

import logging

import pytest

from remotemedia.core._compat.construction import make_node
from remotemedia.core._compat.params import Spelled
from remotemedia.core.multiprocess import MultiprocessNode, Node, NodeConfig, NodeStatus


def made(cls, **params):
    return make_node(cls, NodeConfig("n", "T", Spelled(params), "s"))


# ----------------------------------------------------------------------------------------- params


def test_params_answer_to_both_spellings_and_are_spelled_as_written():
    params = Spelled({"chunkSize": 1, "min_length": 2})
    assert params["chunk_size"] == params.get("chunk_size") == params["chunkSize"] == 1
    assert params.get("minLength") == 2
    assert "chunk_size" in params
    assert "other" not in params
    assert params.get("other", 5) == params.pop("other", 5) == 5
    assert params.setdefault("chunk_size", 9) == 1
    assert params == {"chunkSize": 1, "min_length": 2}
    assert params.copy().pop("chunk_size") == 1
    with pytest.raises(KeyError):
        params["other"]
    with pytest.raises(KeyError):
        params.pop("other")


# ------------------------------------------------------------------------------ MultiprocessNode


class TakesConfig(MultiprocessNode):
    pass


class NamesItOtherwise(MultiprocessNode):
    def __init__(self, cfg):
        super().__init__(cfg)


class TakesIdAndConfig(MultiprocessNode):
    def __init__(self, node_id, config):
        super().__init__(node_id, config)


class TakesEverything(MultiprocessNode):
    def __init__(self, config=None, *, node_id=None, name=None, model_id="tiny", **kwargs):
        super().__init__(config, **kwargs)
        self.model_id = model_id
        self.name = name or self.node_id


class PassesOn(MultiprocessNode):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class NamesAParam(MultiprocessNode):
    def __init__(self, voice="low", **kwargs):
        super().__init__(**kwargs)
        self.voice = voice


class MakesItsOwnConfig(MultiprocessNode):
    def __init__(self, node_id=None, voice="low", **kwargs):
        super().__init__(NodeConfig(node_id="made up", node_type="X", params={}), **kwargs)
        self.voice = voice


@pytest.mark.parametrize(
    "cls",
    [
        TakesConfig,
        NamesItOtherwise,
        TakesIdAndConfig,
        TakesEverything,
        PassesOn,
        NamesAParam,
        MakesItsOwnConfig,
    ],
)
def test_a_multiprocess_node_knows_who_it_is_and_its_params(cls):
    node = made(cls, voice="high", modelId="base")
    assert (node.node_id, node.node_type, node.session_id) == ("n", "T", "s")
    assert node.config["voice"] == "high"
    assert node.config["model_id"] == "base"
    assert getattr(node, "voice", "high") == "high"
    assert getattr(node, "model_id", "base") == "base"
    assert node.status is NodeStatus.IDLE
    assert node.logger is logging.getLogger("remotemedia.node.n")


@pytest.mark.parametrize(
    ("config", "kwargs"),
    [
        (NodeConfig("n", "T", {"a": 1}, "s"), {}),
        ({"node_id": "n", "node_type": "T", "params": {"a": 1}, "session_id": "s"}, {}),
        ({"a": 1}, {"node_id": "n", "session_id": "s"}),
    ],
)
def test_a_multiprocess_node_takes_its_config_in_several_forms(config, kwargs):
    node = TakesConfig(config, **kwargs)
    assert (node.node_id, node.session_id, node.config) == ("n", "s", {"a": 1})
    assert node.get_stats()["status"] == "idle"


def test_a_multiprocess_node_by_itself_has_a_default_session():
    node = TakesConfig(NodeConfig("n", "T", {}))
    assert node.session_id == "default_n"


def test_a_node_config_reads_like_the_dict_it_was():
    config = NodeConfig("n", "T", {"voice": "high"})
    assert (config.get("params"), config.get("voice"), config["node_id"]) == (
        {"voice": "high"},
        "high",
        "n",
    )
    assert config.get("other", 3) == 3
    assert "voice" in config
    with pytest.raises(KeyError):
        config["other"]


def test_the_logger_has_the_level_it_is_told():
    TakesConfig(NodeConfig("loud", "T", {}, log_level="DEBUG"))
    assert logging.getLogger("remotemedia.node.loud").level == logging.DEBUG


# ------------------------------------------------------------------------------------------- Node


class Plain(Node):
    pass


class HandsOn(Node):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(factor=factor, **kwargs)
        self.factor = factor


class TakesNoName(Node):
    def __init__(self, chunkSize):  # noqa: N803 - how others spell it
        super().__init__()
        self.chunk_size = chunkSize


def test_a_node_gets_its_params_by_name_and_the_nodes_id_as_name():
    node = made(HandsOn, factor=3, other="x")
    assert (node.name, node.factor, node.config) == ("n", 3, {"factor": 3, "other": "x"})
    assert (node.node_id, node.session_id) == ("n", "s")
    assert made(Plain, name="said").name == "said"
    assert HandsOn().name == "HandsOn"


def test_an_argument_is_found_in_its_other_spelling():
    assert made(TakesNoName, chunk_size=4).chunk_size == 4


async def test_a_node_keeps_state_per_session():
    node = made(Plain)
    state = await node.get_session_state()
    state.set("turns", 1)
    assert (await node.get_session_state("s")).get("turns") == 1
    assert await Plain(enable_state=False).get_session_state("s") is None


def test_a_node_splits_and_merges_metadata():
    node = Plain()
    said = {"session_id": "x"}
    assert node.split_data_metadata(("a", said)) == ("a", said)
    assert node.split_data_metadata((1, 2, said)) == ((1, 2), said)
    assert node.split_data_metadata((1, {"no": 1})) == ((1, {"no": 1}), None)
    assert node.merge_data_metadata((1, 2), said) == (1, 2, said)
    assert node.extract_session_id(("a", said)) == node.extract_session_id(said) == "x"


# ---------------------------------------------------------------------------------- plain classes


class ByName:
    def __init__(self, size, windowStep=1, node_id=None, **kwargs):  # noqa: N803 - how others spell it
        self.got = (size, windowStep, node_id, kwargs)


class InOnePiece:
    def __init__(self, node_id: str, params: dict):
        self.got = (node_id, params)


class ByPosition:
    def __init__(self, size, /, step=1, *, node_id=None):
        self.got = (size, step, node_id)


class Strict:
    __slots__ = ("size",)

    def __init__(self, size=1):
        self.size = size


class Bare:
    pass


def test_a_plain_class_gets_its_params_by_name():
    assert made(ByName, size=3, window_step=2, extra=True).got == (3, 2, "n", {"extra": True})
    assert made(InOnePiece, a=1).got == ("n", {"a": 1})
    assert made(ByPosition, size=3, step=2).got == (3, 2, "n")


def test_a_plain_class_is_told_who_it_is_where_it_has_room():
    node = made(Bare)
    assert (node.node_id, node.session_id, node.logger.name) == ("n", "s", "remotemedia.node.n")
    assert made(Strict, size=2).size == 2


def test_a_param_nobody_takes_is_a_warning_with_the_nearest_name(caplog):
    assert made(Strict, siez=2).size == 1
    assert "'siez' is no param of Strict; did you mean 'size'?" in caplog.text
    assert "node n" in caplog.text


def test_a_param_that_is_missing_is_pythons_own_error():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'size'"):
        made(ByName)
