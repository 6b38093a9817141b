"""Turns speech into text with PocketSphinx: small, offline, English.

Source: FR-002. No I/O but loading models, which come with the package pocketsphinx
(https://pocketsphinx.readthedocs.io). With a small grammar it decodes about 70 times faster than
real time, with the language model about 5 times.

An utterance's transcript depends on its samples alone:

- the decoder's features start anew for each utterance (else the cepstral mean, which follows the
  speaker, and the filter's memory go on from the utterance before);
- samples go in by steps of 20 ms from the utterance's first, whatever the packets' sizes. The first
  step is longer: one without a whole analysis window (410 samples) makes the decoder begin with
  features left over from before, and spoiled up to half of the transcripts;
- a fixed, faint noise is laid under them. Digital silence, which synthetic speech is full of, is a
  sound the acoustic model has never heard: of 399 commands spoken by espeak-ng 200 were understood
  without it, and 397 with noise at −55 dBFS (the others had been cut wrongly, or sounded alike).
"""

from __future__ import annotations

import ctypes
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio, Text
from operators.audio.utterance import PART, Part, UtteranceCutter, marker_of, part_of
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.payloads import Control
    from operators.audio.utterance import Piece

SAMPLE_RATE: Final = 16_000
#: What goes into the decoder at once: 20 ms.
STEP_FRAMES: Final = 320
#: What goes in first; an utterance that is shorter is filled up.
FIRST_STEP_FRAMES: Final = 640
#: An utterance in a stream ends after so long, and another one goes on.
UTTERANCE_MS_MAX: Final = 30_000
_NOISE_SEED: Final = 20_240_501
_SEARCH: Final = "default"
_LOG_PREFIX: Final = re.compile(r'^[A-Z]+: ("[^"]*", line \d+: )?')


class PocketSphinxSTT(Operator):
    """Emits one Text per utterance; it is empty where nothing was understood.

    Audio reaches it in one of three ways:

    - as whole utterances, one per packet, as from an AudioBufferAccumulatorNode;
    - as parts of utterances, as from one with `stream`: decoded while they are being spoken;
    - as the stream of a voice activity detector, markers and audio. Then the utterance is decoded
      while it is being spoken, and its text is there about 1 ms after the packet that ends it
      (with the language model, 100 ms).

    All give the same text for the same samples. The first marker, and the metadata, say which way
    it is. To the packet's metadata come `confidence` (0…1, the decoder's posterior probability, low
    even for what is right) and `duration_ms`. Payloads that are neither audio nor markers pass
    through.

    What a CancelSpeculation takes back is dropped as far as it waits for its utterance to begin;
    what the decoder has heard it cannot forget.
    """

    node_type = "PocketSphinxSTTNode"
    default_executor = "process"
    accepts = frozenset({"audio", "json"})
    emits = frozenset({"text"})
    stateful = True
    hot = frozenset({"noise_floor_dbfs"})

    class Params(BaseParams):
        grammar: str | None = Field(
            None,
            description="JSGF grammar of all that can be said, in lower case; its first public"
            " rule counts. None: free speech by the general language model",
        )
        words: dict[str, str] = Field(
            default_factory=dict,
            description="words the dictionary lacks, with their phones:"
            ' {"arrow": "AE R OW"}, as in the CMU Pronouncing Dictionary',
        )
        language: Literal["en-US"] = Field("en-US", description="the only one there is")
        noise_floor_dbfs: float | None = Field(
            -55, ge=-90, le=-30, description="level of the noise laid under the speech; None: none"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._decoder: Any = None
        self._noise = np.zeros(1, np.float32)
        self._cutter = UtteranceCutter(UTTERANCE_MS_MAX)
        self._streamed = False
        self._speaking = False
        self._frames = 0
        self._step_frames = FIRST_STEP_FRAMES
        self._rest = np.empty(0, np.int16)
        self._last: Packet | None = None

    async def initialize(self, ctx: Context) -> None:
        """Load the models.

        Raises:
            ValueError: the grammar is wrong, or has words without a pronunciation; the message has
                the decoder's own words, with the line.
        """
        ctx.progress(0.0, "loading acoustic model and dictionary")
        with tempfile.TemporaryDirectory(prefix="pocketsphinx-") as folder:
            self._decoder = _load(self.params, Path(folder), ctx)
        self._noise = _noise(self.params.noise_floor_dbfs)
        ctx.progress(1.0, "ready")

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        """Take a packet.

        Raises:
            ValueError: the audio is not at 16 kHz.
        """
        payload = packet.payload
        marker = marker_of(payload)
        if marker is not None:
            self._streamed = True
            self._cutter.mark(marker, packet.origin)
            return []
        if not isinstance(payload, Audio):
            return [packet]
        if payload.sample_rate != SAMPLE_RATE:
            raise ValueError(
                f"the audio is at {payload.sample_rate} Hz, the acoustic model at {SAMPLE_RATE}:"
                " put a FastResampleNode with targetRate 16000 before it"
            )
        # Without the samples: they need not stay for the sake of the header.
        metadata = {key: value for key, value in packet.metadata.items() if key != PART}
        self._last = packet.with_payload(Text(""), metadata)
        part = part_of(packet)
        if part is not None:
            return self._follow(payload, part, ctx)
        if self._streamed:
            return self._listen(self._cutter.feed(payload, packet.origin), ctx)
        self._begin()
        self._hear(payload.mono(), ctx)
        return [self._end()]

    def flush(self, ctx: Context) -> list[Output]:
        outputs = self._listen(self._cutter.flush(), ctx)
        if self._speaking:  # the stream ended between two parts
            outputs.append(self._end())
        return outputs

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._noise = _noise(self.params.noise_floor_dbfs)

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is not None:
            self._cutter.take_back(span)

    def reset(self, ctx: Context) -> None:
        self._cutter.reset()
        self._abandon()

    async def cleanup(self) -> None:
        self._decoder = None

    def _listen(self, pieces: Iterable[Piece], ctx: Context) -> list[Output]:
        outputs: list[Output] = []
        for piece in pieces:
            if piece.begins:
                self._begin()
            self._hear(Audio(piece.samples, piece.sample_rate).mono(), ctx)
            if piece.ends:
                outputs.append(self._end())
        return outputs

    def _follow(self, audio: Audio, part: Part, ctx: Context) -> list[Output]:
        if part is Part.BEGIN:
            self._begin()
        elif not self._speaking:  # an interrupt took the utterance's beginning
            return []
        self._hear(audio.mono(), ctx)
        return [self._end()] if part is Part.END else []

    def _begin(self) -> None:
        self._abandon()
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._speaking = True
        self._frames = 0
        self._step_frames = FIRST_STEP_FRAMES

    def _hear(self, samples: npt.NDArray[np.float32], ctx: Context) -> None:
        """Take samples of shape (frames,) in −1…1."""
        pcm = np.concatenate((self._rest, self._pcm(samples)))
        self._frames += len(samples)
        start = 0
        while len(pcm) - start >= self._step_frames:
            if ctx.cancelled:
                return  # nobody wants the text any more
            self._decoder.process_raw(pcm[start : start + self._step_frames].tobytes())
            start += self._step_frames
            self._step_frames = STEP_FRAMES
        self._rest = pcm[start:]

    def _pcm(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
        positions = np.arange(self._frames, self._frames + len(samples)) % len(self._noise)
        loud = samples * np.float32(32_768) + self._noise[positions]
        pcm: npt.NDArray[np.int16] = np.clip(np.rint(loud), -32_768, 32_767).astype(np.int16)
        return pcm

    def _end(self) -> Output:
        if self._step_frames == FIRST_STEP_FRAMES:
            self._rest = np.pad(self._rest, (0, FIRST_STEP_FRAMES - len(self._rest)))
        if len(self._rest):
            self._decoder.process_raw(self._rest.tobytes())
        found = self._finish()
        transcript, confidence = ("", 0.0) if found is None else (found.hypstr, found.prob)
        text = Text(transcript, self.params.language.partition("-")[0])
        if self._last is None:
            return text
        measured = {
            "confidence": f"{min(confidence, 1.0):.4f}",
            "duration_ms": str(self._frames * 1000 // SAMPLE_RATE),
        }
        return self._last.with_payload(text, {**self._last.metadata, **measured})

    def _abandon(self) -> None:
        if self._speaking:
            self._finish()

    def _finish(self) -> Any:
        """End the utterance; gives the decoder's hypothesis or None."""
        self._speaking = False
        self._rest = self._rest[:0]
        self._decoder.end_utt()
        return self._decoder.hyp()


def _noise(floor_dbfs: float | None) -> npt.NDArray[np.float32]:
    """A second of the noise that is laid under speech."""
    if floor_dbfs is None:
        return np.zeros(1, np.float32)
    amplitude = 32_768 * 10 ** (floor_dbfs / 20)
    noise = np.random.default_rng(_NOISE_SEED).normal(0, amplitude, SAMPLE_RATE)
    return noise.astype(np.float32)


def _load(params: PocketSphinxSTT.Params, folder: Path, ctx: Context) -> Any:
    """Load models, words and grammar.

    PocketSphinx raises without a reason and writes the reason to its log, and it accepts a grammar
    that names a rule it does not have; so it is the log that decides.
    """
    import pocketsphinx

    log = folder / "log"
    decoder = pocketsphinx.Decoder(lm=None, loglevel="ERROR", logfn=str(log))
    what = "words"
    try:
        for word, phones in params.words.items():
            decoder.add_word(word, phones, update=True)
        if params.grammar is None:
            what = "language model"
            ctx.progress(0.3, "loading language model")
            decoder.add_lm_file(_SEARCH, pocketsphinx.get_model_path("en-us/en-us.lm.bin"))
        else:
            what = "grammar"
            ctx.progress(0.9, "reading grammar")
            grammar = folder / "grammar"
            # From a file: from a string it counts lines from 0.
            grammar.write_text(params.grammar, encoding="utf-8")
            decoder.add_jsgf_file(_SEARCH, str(grammar))
    except (RuntimeError, ValueError) as error:
        _raise_logged(log, what, error)
        raise
    finally:
        _close_log()
    _raise_logged(log, what)
    decoder.activate_search(_SEARCH)
    return decoder


def _close_log() -> None:
    """Let PocketSphinx write to stderr again, but nothing less than its last words.

    It keeps the log of its latest decoder open for good, and only its C interface can change that.
    """
    import pocketsphinx

    library = ctypes.CDLL(pocketsphinx.pocketsphinx.__file__)
    library.err_set_logfp.restype = None
    library.err_set_logfp.argtypes = (ctypes.c_void_p,)
    library.err_set_logfp(ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr"))
    # What it says from here on is about single frames.
    pocketsphinx.set_loglevel("FATAL")


def _raise_logged(log: Path, what: str, cause: Exception | None = None) -> None:
    """Raise what the log says, without the decoder's source lines and our temporary names."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    reasons = [_LOG_PREFIX.sub("", line).replace(str(log.parent), "") for line in lines]
    if reasons:
        raise ValueError(f"PocketSphinx refuses the {what}: {'; '.join(reasons)}") from cause
