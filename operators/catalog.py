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
    "AddNode": "operators.flow.arithmetic:Add",
    "Echo": "operators.flow.echo:Echo",
    "MultiplyNode": "operators.flow.arithmetic:Multiply",
    "BufferNode": "operators.flow.buffer:Buffer",
    "CombineLatestNode": "operators.flow.combine_latest:CombineLatest",
    "DebounceNode": "operators.flow.debounce:Debounce",
    "DelayNode": "operators.flow.delay:Delay",
    "DistinctNode": "operators.flow.distinct:Distinct",
    "MergeNode": "operators.flow.merge:Merge",
    "ReactivexNode": "engine.reactive.function:ReactivexNode",
    "RouterNode": "operators.flow.router:Router",
    "SampleNode": "operators.flow.sample:Sample",
    "ScanNode": "operators.flow.scan:Scan",
    "SelectNode": "operators.flow.selection:Select",
    "ThrottleNode": "operators.flow.throttle:Throttle",
    "TimeJoinNode": "operators.flow.time_join:TimeJoin",
    "TimeoutNode": "operators.flow.timeout:Timeout",
    "WindowNode": "operators.flow.window:Window",
    "WithLatestFromNode": "operators.flow.with_latest_from:WithLatestFrom",
    "ZipNode": "operators.flow.zip:Zip",
    # audio
    "AudioBufferAccumulatorNode": "operators.audio.buffer_accumulator:AudioBufferAccumulator",
    "AudioChunkerNode": "operators.audio.chunker:AudioChunker",
    "AudioFormatNode": "operators.audio.sample_format:AudioFormat",
    "AudioLevelNode": "operators.audio.level:AudioLevel",
    "ChannelBalanceNode": "operators.audio.channel_balance:ChannelBalance",
    "ChannelMergeNode": "operators.audio.channel_merge:ChannelMerge",
    "ChannelSplitNode": "operators.audio.channel_split:ChannelSplit",
    "ClippingDetectorNode": "operators.audio.clipping:ClippingDetector",
    "FastResampleNode": "operators.audio.resample:FastResample",
    "GainNode": "operators.audio.gain:Gain",
    "MixerNode": "operators.audio.mixer:Mixer",
    "PlaybackNode": "operators.audio.playback:Playback",
    "RustFormatConverterNode": "operators.audio.sample_format:AudioFormat",
    "RustResampleNode": "operators.audio.resample:FastResample",
    "RustVADNode": "operators.audio.energy_vad:EnergyVAD",
    "SilenceDetectorNode": "operators.audio.silence:SilenceDetector",
    "SileroVADNode": "operators.audio.vad:SileroVAD",
    # speech
    "EspeakTTSNode": "operators.speech.espeak_tts:EspeakTTS",
    "PocketSphinxSTTNode": "operators.speech.pocketsphinx_stt:PocketSphinxSTT",
    # video
    "VideoFlip": "operators.video.flip:VideoFlip",
    "VideoFormatNode": "operators.video.convert:VideoFormat",
    "VideoScaleNode": "operators.video.scale:VideoScale",
    # media files, audio with video
    "MediaReaderNode": "operators.media.reader:MediaReader",
    "MediaWriterNode": "operators.media.writer:MediaWriter",
    "SynchronizedAudioVideoNode": "operators.media.synchronize:SynchronizedAudioVideo",
    # text
    "RuleReplyNode": "operators.text.reply:RuleReply",
    "TextCollectorNode": "operators.text.text_collector:TextCollector",
}


def declare_all(registry: Registry) -> None:
    """Declare every node type of this package."""
    for node_type, target in NODE_TYPES.items():
        registry.declare(node_type, target)
