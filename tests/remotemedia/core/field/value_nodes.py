"""Nodes for the tutorial. They take plain values, or RuntimeData if they feel like it."""

import asyncio
from typing import Any, List, Union

import numpy as np

from remotemedia.core.node import Node, RuntimeData


class AddNode(Node):
    """Node that adds a constant to input values."""

    def __init__(self, addend: float = 0.0, **kwargs):
        super().__init__(addend=addend, **kwargs)
        self.addend = addend

    def process(self, data: Union[int, float, List]) -> Union[int, float, List]:
        if isinstance(data, list):
            return [x + self.addend for x in data]
        return data + self.addend


class TextStatsNode(Node):
    """Expects {"text": ..., "operations": [...]}."""

    def process(self, data: Any) -> Any:
        if not isinstance(data, dict):
            return {"error": "Input must be a dictionary", "input": data, "processed_by": self.name}
        results = {}
        for operation in data.get("operations", ["upper"]):
            results[operation] = {
                "upper": data["text"].upper,
                "words": lambda: len(data["text"].split()),
            }[operation]()
        return {"original_text": data["text"], "results": results, "node_config": self.config}


class SentenceSplitNode(Node):
    """A synchronous generator."""

    def __init__(self, name=None, minLength=1, **kwargs):
        super().__init__(name=name, **kwargs)
        self.min_length = minLength

    def process(self, data):
        for sentence in str(data).split("."):
            sentence = sentence.strip()
            if len(sentence) >= self.min_length:
                yield RuntimeData.text(sentence)


class ShoutNode(Node):
    """A coroutine on RuntimeData."""

    async def process(self, data):
        await asyncio.sleep(0)
        if not data.is_text():
            return None
        return RuntimeData.text(data.as_text().upper() + "!", language="en")


class RunningMeanNode(Node):
    """Keeps everything; the mean comes at the end."""

    def __init__(self, trace=None, **kwargs):
        super().__init__(**kwargs)
        self.trace = trace

    def initialize(self):
        self.values = []

    def process(self, data):
        self.values.append(data["value"] if isinstance(data, dict) else float(data))

    async def flush(self):
        if self.values:
            yield {"mean": sum(self.values) / len(self.values), "count": len(self.values)}

    def cleanup(self):
        if self.trace:
            with open(self.trace, "a") as f:
                f.write("cleanup\n")


class TupleGainNode(Node):
    """(audio, sample_rate) in, the same out, with the channels first."""

    def __init__(self, gain=1.0, **kwargs):
        super().__init__(gain=gain, **kwargs)
        self.gain = gain

    def process(self, data):
        data_without_metadata, metadata = self.split_data_metadata(data)
        if not isinstance(data_without_metadata, (tuple, list)) or len(data_without_metadata) < 2:
            return data
        audio_data, sample_rate = data_without_metadata[:2]
        if audio_data.ndim == 1:
            audio_data = audio_data.reshape(1, -1)
        audio_data = np.clip(audio_data * self.gain, -1, 1)
        return self.merge_data_metadata((audio_data, sample_rate), metadata)


class EnvelopeNode(Node):
    """An asynchronous generator that yields arrays and counts per session."""

    async def process(self, data):
        state = await self.get_session_state()
        state.set("seen", state.get("seen", 0) + 1)
        yield np.abs(data.as_numpy())
        yield {"seen": state.get("seen")}
