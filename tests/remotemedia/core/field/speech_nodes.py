"""
Speech nodes for the demo pipeline.

All of them run in their own process, see MultiprocessNode.
"""

import asyncio
import logging
from typing import Any, AsyncGenerator, Dict, List, Optional, Union

import numpy as np

from remotemedia.core.multiprocessing import (
    MultiprocessNode,
    NodeConfig,
    python_requires,
    register_node,
)
from remotemedia.core.multiprocessing.data import (
    DataType,
    RuntimeData,
    audio_to_numpy,
    numpy_to_audio,
)
from remotemedia.core.multiprocessing.node import NodeStatus

logger = logging.getLogger(__name__)


def _trace(path: Optional[str], line: str) -> None:
    if path:
        with open(path, "a") as f:
            f.write(line + "\n")


@register_node("UtteranceCollectorNode")
class UtteranceCollectorNode(MultiprocessNode):
    """Collects audio until there is enough of it."""

    def __init__(self, config):
        super().__init__(config)
        self.chunk_size = int(self.config.get("chunk_size", 512))
        self.buffer = np.zeros(0, dtype=np.float32)
        self.sample_rate = 16000

    async def initialize(self) -> None:
        self.status = NodeStatus.INITIALIZING
        self.logger.info("collector for %s", self.session_id)
        self.status = NodeStatus.READY

    async def process(self, data: RuntimeData) -> Optional[RuntimeData]:
        if not data.is_audio():
            return data
        samples_bytes, self.sample_rate, channels, fmt, num_samples = data.as_audio()
        assert fmt == "f32" and len(samples_bytes) == 4 * num_samples
        self.buffer = np.concatenate([self.buffer, np.frombuffer(samples_bytes, dtype=np.float32)])
        if len(self.buffer) < self.chunk_size:
            return None
        chunk, self.buffer = self.buffer[: self.chunk_size], self.buffer[self.chunk_size :]
        return numpy_to_audio(chunk, self.sample_rate, channels)

    async def flush(self):
        if len(self.buffer):
            return numpy_to_audio(self.buffer, self.sample_rate, 1)

    async def cleanup(self) -> None:
        _trace(self.config.get("trace"), "cleanup")


@register_node(
    "ToneTTSNode", multi_output=True, category="tts", accepts=["text"], produces=["audio"]
)
@python_requires(["soundfile"])
class ToneTTSNode(MultiprocessNode):
    """Says each word as a tone."""

    def __init__(
        self,
        node_id: str = None,
        voice: str = "low",
        sample_rate: int = 24000,
        stream_chunks: bool = True,
        skip_tokens: list = None,
        config: Union[NodeConfig, Dict[str, Any]] = None,
        **kwargs,
    ):
        if config is not None:
            super().__init__(config, **kwargs)
            if isinstance(config, NodeConfig):
                params = config.params
            else:
                params = config.get("params", {})
            voice = params.get("voice", voice)
            sample_rate = params.get("sample_rate", sample_rate)
        else:
            super().__init__(
                NodeConfig(node_id=node_id or "tone_tts", node_type="ToneTTSNode", params={})
            )
        self.voice = voice
        self.sample_rate = sample_rate
        self.skip_tokens = skip_tokens or ["<|text_end|>"]
        self.is_streaming = stream_chunks
        self._scratch = np.zeros(sample_rate // 50, dtype=np.float32)

    async def process(self, data: RuntimeData) -> AsyncGenerator[RuntimeData, None]:
        if not data.is_text():
            yield data
            return
        text = data.as_text()
        for token in self.skip_tokens:
            text = text.replace(token, "")
        for word in text.split():
            pitch = 110.0 * (1 + len(word)) * (2 if self.voice == "high" else 1)
            # one buffer for all chunks, as always
            self._scratch[:] = 0.3 * np.sin(
                2 * np.pi * pitch * np.arange(len(self._scratch)) / self.sample_rate
            )
            yield RuntimeData.audio(self._scratch, self.sample_rate, channels=1)
            await asyncio.sleep(0)

    async def cleanup(self):
        _trace(self.config.get("trace"), "cleanup")


@register_node("HeavyModelNode")
class HeavyModelNode(MultiprocessNode):
    """Loads for a while before it does anything."""

    def __init__(self, config):
        super().__init__(config)
        self.publish_progress("allocating", "some memory")

    async def initialize(self) -> None:
        self.publish_progress("loading_model", "reading weights")
        self.weights = await asyncio.to_thread(self._load)
        await self.publish_progress("warming_up", "first pass", progress=0.9)

    def _load(self):
        self.publish_progress("loading_model", "in a thread", 0.5)
        return np.arange(4, dtype=np.float32)

    async def process(self, data: RuntimeData) -> RuntimeData:
        return RuntimeData.json({"score": float(self.weights.sum()), "type": data.data_type()})

    async def cleanup(self) -> None:
        self.weights = None
        _trace(self.config.get("trace"), "cleanup")


@register_node("EchoCounterNode")
class EchoCounterNode(MultiprocessNode):
    """Echoes, counting."""

    def __init__(self, node_id=None, config=None, **kwargs):
        if config is not None:
            super().__init__(config=config, **kwargs)
        elif node_id is not None:
            super().__init__(
                config={"node_id": node_id, "node_type": "EchoCounterNode", "params": {}}, **kwargs
            )
        else:
            raise ValueError("Either node_id or config must be provided")
        self.process_count = 0

    async def initialize(self) -> None:
        await super().initialize()
        self.process_count = 0
        logger.info(f"EchoCounterNode {self.node_id} ready")

    async def process(self, data: Any) -> Any:
        self.process_count += 1
        self.logger.debug("seen %d in %s", self.process_count, self.session_id)
        assert data.session_id == self.session_id
        if data.is_text():
            out = RuntimeData.text(f"[{self.node_id} #{self.process_count}] {data.as_text()}")
            out.metadata["seen_by"] = self.node_id
            return out
        return data

    async def cleanup(self) -> None:
        await super().cleanup()
        _trace(self.config.get("trace"), "cleanup")


@register_node("WaveShaperNode")
class WaveShaperNode(MultiprocessNode):
    """The attribute style: type, payload, metadata."""

    def __init__(self, node_id: str, config: Dict[str, Any]):
        super().__init__(node_id, config)
        self.drive = config["drive"]

    async def initialize(self):
        self._status = NodeStatus.READY

    async def process(self, data: RuntimeData) -> Optional[RuntimeData]:
        if data.type == DataType.AUDIO:
            payload = data.payload
            payload *= self.drive
            np.clip(payload, -1.0, 1.0, out=payload)
            return RuntimeData(
                type=DataType.AUDIO,
                payload=payload,
                session_id=data.session_id,
                timestamp=data.timestamp,
                metadata=data.metadata,
            )
        return None

    async def cleanup(self):
        pass


@register_node("TokenStreamNode")
class TokenStreamNode(MultiprocessNode):
    """A coroutine that returns an asynchronous generator."""

    def __init__(self, config: NodeConfig, **kwargs):
        super().__init__(config, **kwargs)
        self.separator = config.params.get("separator", " ")

    async def process(self, data: RuntimeData):
        if not data.is_text():
            return None
        return self._tokens(data.as_text())

    async def _tokens(self, text: str):
        for token in text.split(self.separator):
            await asyncio.sleep(0)
            yield RuntimeData.text(token, language="en", channel="ui")

    async def cleanup(self):
        _trace(self.config.get("trace"), "cleanup")


@register_node("FailingNode")
class FailingNode(MultiprocessNode):
    """Fails where it is told to."""

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.fail_in = self.config["failIn"]
        self.trace = self.config.get("trace")
        self._fail("constructor")

    def _fail(self, step):
        if self.fail_in == step:
            raise ValueError(f"broken {step} on purpose")

    async def initialize(self):
        self._fail("initialize")

    async def process(self, data):
        if data.as_json() == 2:
            self._fail("process")
        return data

    async def flush(self):
        self._fail("flush")

    async def cleanup(self):
        _trace(self.trace, "cleanup")
        self._fail("cleanup")


class BlobSplitterNode(MultiprocessNode):
    """Not decorated; found by its name."""

    async def process(self, data) -> AsyncGenerator[RuntimeData, None]:
        if data.is_binary():
            blob = data.as_binary()
            half = len(blob) // 2
            parts: List[bytes] = [blob[:half], blob[half:]]
            for part in parts:
                yield RuntimeData.binary(part, mime_type=data.mime_type)
        elif data.is_tensor():
            yield RuntimeData.tensor(data.as_numpy() * 2)
        elif data.is_video():
            frame = data.as_numpy()[::-1]
            yield RuntimeData.video(frame, data.metadata.width, data.metadata.height)
        elif data.is_audio():
            yield RuntimeData.json({"shape": list(audio_to_numpy(data).shape)})


@register_node("WaitingNode")
class WaitingNode(MultiprocessNode):
    """Answers the first item, and never the second."""

    async def process(self, data):
        if data.as_json():
            await asyncio.Event().wait()
        return data

    async def cleanup(self):
        _trace(self.config.get("trace"), "cleanup")
