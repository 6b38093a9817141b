"""Nodes of many shapes, as teams wrote them over the years."""

import abc
import asyncio
import functools
import json
import logging
import queue
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, AsyncGenerator, Dict, List, Optional, Union

import numpy as np

try:
    import a_model_library_that_is_not_here as torch

    ML_AVAILABLE = True
except ImportError:
    ML_AVAILABLE = False
    torch = None

from remotemedia.core.multiprocessing import (
    MultiprocessNode,
    NodeConfig,
    python_requires,
    register_node,
)
from remotemedia.core.multiprocessing.data import RuntimeData, numpy_to_audio
from remotemedia.core.node import Node

logger = logging.getLogger(__name__)
AUX_PORT_KEY = "__aux_port__"


@register_node("TurnChatNode")
@python_requires(["transformers>=4.54.0"])
class TurnChatNode(MultiprocessNode):
    """Two ways to make it: keywords, or a config. Envelopes set its context."""

    def __init__(
        self,
        config: Union[NodeConfig, Dict[str, Any], None] = None,
        *,
        node_id: Optional[str] = None,
        name: Optional[str] = None,
        system_prompt: str = "brief",
        max_new_tokens: int = 120,
        **kwargs: Any,
    ) -> None:
        if isinstance(config, str):
            raise TypeError("bare positional node_id not supported")
        if config is None:
            config = NodeConfig(
                node_id=node_id or name or "chat", node_type="TurnChatNode", params={}
            )
        super().__init__(config, **kwargs)
        params = config.params or {}
        self.system_prompt = params.get("system_prompt", system_prompt)
        self.max_new_tokens = int(params.get("max_new_tokens", max_new_tokens))
        self._context = ""
        self.name = name or config.node_id

    def _envelope(self, data: Any) -> Optional[dict]:
        blob = data.as_json() if data.is_json() else None
        if data.is_text() and data.as_text().startswith("{"):
            blob = json.loads(data.as_text())
        return blob if isinstance(blob, dict) and AUX_PORT_KEY in blob else None

    async def process(self, data: Any) -> Any:
        envelope = self._envelope(data)
        if envelope is not None:
            self._context = envelope["payload"]["text"]
            return None
        return RuntimeData.text(
            f"{self.system_prompt}|{self._context}|{data.as_text()}|{self.max_new_tokens}"
        )


class _ThreadedTTS(MultiprocessNode, abc.ABC):
    """A model that blocks runs in a thread; chunks come out as they are made."""

    @abc.abstractmethod
    def synthesize(self, text): ...

    async def process(self, data: RuntimeData) -> AsyncGenerator[RuntimeData, None]:
        if not data.is_text():
            yield data
            return
        chunks: "queue.Queue" = queue.Queue()

        def work():
            for chunk in self.synthesize(data.as_text()):
                chunks.put(chunk)
            chunks.put(None)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while True:
            chunk = await asyncio.to_thread(chunks.get)
            if chunk is None:
                break
            asyncio.create_task(self.publish_progress("speaking", f"{len(chunk)} samples"))
            yield numpy_to_audio(chunk, self.sample_rate, channels=1)
        thread.join()


@register_node("StepTTSNode", multi_output=True, category="tts")
class StepTTSNode(_ThreadedTTS):
    def __init__(
        self,
        node_id: str = None,
        speed: float = 1.0,
        sample_rate: int = 24000,
        config: Union[NodeConfig, Dict[str, Any]] = None,
        **kwargs,
    ):
        if config is not None:
            super().__init__(config, **kwargs)
            params = config.params if isinstance(config, NodeConfig) else config.get("params", {})
            speed = params.get("speed", speed)
            sample_rate = params.get("sample_rate", sample_rate)
        else:
            self.node_id = node_id or "tts"
        self.speed, self.sample_rate = float(speed), int(sample_rate)

    def synthesize(self, text):
        for word in text.split():
            yield np.full(int(10 * len(word) / self.speed), 0.25, dtype=np.float64)


@dataclass
class _State:
    session_id: str
    created: datetime = field(default_factory=datetime.now)
    turns: int = 0


@register_node("SessionTurnsNode")
class SessionTurnsNode(MultiprocessNode):
    """A task of its own beside the items."""

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self._states: Dict[str, _State] = {}
        self._task: Optional[asyncio.Task] = None

    async def initialize(self) -> None:
        await super().initialize()
        self._task = asyncio.create_task(self._expire())

    async def _expire(self):
        while True:
            await asyncio.sleep(60)

    async def process(self, data):
        state = self._states.setdefault(data.session_id, _State(data.session_id))
        state.turns += 1
        yield RuntimeData.json({"turn": state.turns, "running": not self._task.done()})

    async def cleanup(self) -> None:
        if self._task:
            self._task.cancel()
            try:
                await self._task
            except asyncio.CancelledError:
                pass
        await super().cleanup()


@register_node("NeedsLibraryNode")
class NeedsLibraryNode(MultiprocessNode):
    async def initialize(self):
        if not ML_AVAILABLE:
            raise RuntimeError("NeedsLibraryNode requires `torch`. Install with: pip install torch")

    async def process(self, data):
        return data


class _Logged:
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.lines: List[str] = []

    def note(self, line):
        self.lines.append(line)
        self.logger.info(line)


class SyncStepsNode(_Logged, Node):
    """Synchronous steps that call those of the base class, behind a mixin."""

    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def initialize(self):
        super().initialize()
        self.note("ready")

    def process(self, data):
        return {"value": data * self.factor, "ready": self.is_initialized, "lines": self.lines}

    def cleanup(self):
        super().cleanup()


class ForgotAwaitNode(Node):
    """Asynchronous steps that call those of the base class and do not wait."""

    async def initialize(self):
        super().initialize()

    def process(self, data):
        return {"ready": self.is_initialized}

    async def cleanup(self):
        super().cleanup()


@dataclass
class ThresholdDataNode(Node):
    """A dataclass."""

    threshold: float
    labels: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def process(self, data):
        return {"over": data > self.threshold, "labels": self.labels}


class ModelPathNode(Node):
    """Cannot be made without its params."""

    def __init__(self, model_path, *, dim: int, **kwargs):
        super().__init__(**kwargs)
        self.model_path, self.dim = model_path, dim

    def process(self, data):
        return {"model": self.model_path, "dim": self.dim}


def timed(method):
    @functools.wraps(method)
    async def wrapper(self, *args, **kwargs):
        return await method(self, *args, **kwargs)

    return wrapper


class ManyKindsNode(Node):
    """Gives every kind of value."""

    @timed
    async def process(self, data):
        return {
            "none": lambda: None,
            "list": lambda: [1, "a"],
            "several": lambda: [RuntimeData.text("a"), RuntimeData.binary(b"b")],
            "tuple": lambda: (1, "x"),
            "bytes": lambda: bytearray(b"\x00\x01"),
            "generator": lambda: (number for number in (1, 2)),
            "map": lambda: map(str, [3]),
            "zero": lambda: 0,
            "false": lambda: False,
            "empty": lambda: {},
            "numpy": lambda: {"a": np.float32(1.5), "b": np.array([1, 2]), "c": np.bool_(True)},
            "array": lambda: np.arange(6, dtype=np.float32).reshape(2, 3),
            "set": lambda: {3},
        }[str(data)]()


class WholeStreamNode(Node):
    """Takes the stream in one piece, which this project does not do."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.is_streaming = True

    async def process(self, data_stream):
        async for data in data_stream:
            yield data
