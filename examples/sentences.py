"""Assembles sentences from streamed tokens, as a language model sends them.

Shows a session that is fed while its outputs are read: each sentence is there as soon as it ends.

    $ python examples/sentences.py
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from operators.text.text_collector import TextCollector
from remotemedia import Pipeline, Text

#: What a model sends for one answer, piece by piece; the last one says that it is done.
TOKENS = (
    *("Hel", "lo", "!", " The", " light", " in", " the", " kit", "chen", " is", " on", "."),
    *(" Shall", " I", " turn", " it", " off", "?", " I", " can", "<|text_end|>"),
)


async def tokens() -> AsyncIterator[Text]:
    for token in TOKENS:
        yield Text(token)
        await asyncio.sleep(0.01)  # a model takes its time


async def main() -> None:
    pipeline = Pipeline("sentences") | TextCollector()
    async with pipeline.session() as session:
        async for packet in session.stream(tokens()):
            print(f"{packet.payload.text!r}")


if __name__ == "__main__":
    asyncio.run(main())
