"""Which operators there are: the place where a new one is announced.

Imports none of them: a module is imported when its node type is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.registry import Registry

#: Node type → "module:class".
NODE_TYPES: Final = {
    # flow
    "PassThrough": "operators.flow.pass_through:PassThrough",
    "AudioOutputNode": "operators.flow.pass_through:PassThrough",
    "CalculatorNode": "operators.flow.calculator:Calculator",
    # audio
    "AudioBufferAccumulatorNode": "operators.audio.buffer_accumulator:AudioBufferAccumulator",
    "AudioChunkerNode": "operators.audio.chunker:AudioChunker",
    "FastResampleNode": "operators.audio.resample:FastResample",
    "RustResampleNode": "operators.audio.resample:FastResample",
    "SileroVADNode": "operators.audio.vad:SileroVAD",
    # speech
    "EspeakTTSNode": "operators.speech.espeak_tts:EspeakTTS",
    "PocketSphinxSTTNode": "operators.speech.pocketsphinx_stt:PocketSphinxSTT",
    # text
    "RuleReplyNode": "operators.text.reply:RuleReply",
}


def declare_all(registry: Registry) -> None:
    """Declare every node type of this package."""
    for node_type, target in NODE_TYPES.items():
        registry.declare(node_type, target)
