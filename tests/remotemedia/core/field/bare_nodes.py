"""Test nodes. No base class, no imports from the SDK: whatever has process() is a node."""

from typing import AsyncGenerator

import numpy as np


def extract_data(data):
    """Extract actual data from RuntimeData wrapper if present."""
    if hasattr(data, "as_json") and hasattr(data, "is_json"):
        if data.is_json():
            return data.as_json()
        elif data.is_text():
            return data.as_text()
    return data


class RepeaterNode:
    """Yields N items per process() call."""

    def __init__(self, expansion_factor: int = 3, node_id: str = None, **kwargs):
        self.expansion_factor = expansion_factor
        self.node_id = node_id

    async def process(self, data) -> AsyncGenerator:
        actual_data = extract_data(data)
        for i in range(self.expansion_factor):
            if isinstance(actual_data, dict):
                yield {"value": actual_data["value"] + i, "index": i}
            else:
                yield actual_data + i


class ThresholdNode:
    """0 or 1 items."""

    def __init__(self, min_value: float = 0.0, node_id: str = None, **kwargs):
        self.min_value = min_value

    async def process(self, data) -> AsyncGenerator:
        actual_data = extract_data(data)
        value = actual_data.get("value", 0) if isinstance(actual_data, dict) else actual_data
        if isinstance(value, (int, float)) and value >= self.min_value:
            yield actual_data


class CounterNode:
    """Takes the data as it is, and puts it into its output."""

    def __init__(self, initial_count: int = 0, node_id: str = None, **kwargs):
        self.count = initial_count

    async def process(self, data) -> AsyncGenerator:
        self.count += 1
        yield {"count": self.count, "input": data}


class WindowNode:
    """Positional params, one of them in camelCase, no **kwargs."""

    def __init__(self, windowSize, hop_size=1, node_id=None):
        self.size, self.hop, self.items, self.node_id = windowSize, hop_size, [], node_id

    async def process(self, data):
        self.items.append(data)
        while len(self.items) >= self.size:
            yield {"window": self.items[: self.size], "node": self.node_id}
            self.items = self.items[self.hop :]


class GainNode:
    """Gets its params in one piece."""

    def __init__(self, node_id: str, params: dict):
        self.node_id = node_id
        self.gain = params.get("gain", 1.0)

    async def initialize(self):
        self.ready = True

    async def process(self, data):
        samples_bytes, sample_rate, channels, format_str, num_samples = data.as_audio()
        assert self.ready and num_samples * 4 == len(samples_bytes)
        samples = data.as_numpy()
        samples *= self.gain
        return data

    async def cleanup(self):
        self.ready = False


class TraceNode:
    """Leaves a trace."""

    def __init__(self, trace, node_id=None, **kwargs):
        self.trace = trace
        self.samples = np.zeros(3)

    async def process(self, data):
        value = extract_data(data)
        if value == "boom":
            raise RuntimeError("boom on purpose")
        yield value

    def cleanup(self):
        with open(self.trace, "a") as f:
            f.write("cleanup\n")


class ForgetfulNode:
    """Forgot to say async, and can be reset."""

    def __init__(self, node_id=None):
        self.seen = 0

    def process(self, data):
        self.seen += 1
        return self._later(data)

    async def _later(self, data):
        return data

    def reset(self):
        self.seen = 0


class OddNode:
    """Gives something nobody knows."""

    async def process(self, data):
        yield object()
