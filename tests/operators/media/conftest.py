"""Media files to read, made with PyAV alone, and what PyAV alone finds in files we wrote."""

import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest

from engine.payloads import Audio, Video

#: Sound and pictures of a test file say where they are: a tone that rises, a bar that moves.
AMPLITUDE = 0.3


def tone(seconds, rate=48_000, channels=1, dtype=np.float32):
    """A sine of 300 Hz that rises by 400 Hz a second, of shape (frames, channels)."""
    time = np.arange(round(seconds * rate)) / rate
    wave = AMPLITUDE * np.sin(2 * np.pi * (300 * time + 200 * time**2))
    if dtype != np.float32:
        wave = wave * np.iinfo(dtype).max
    return np.repeat(wave.astype(dtype)[:, None], channels, axis=1)


def picture(number, width=64, height=48):
    """A grey picture with a bright bar whose place says its number, and a coloured corner."""
    pixels = np.full((height, width, 3), 64, np.uint8)
    left = number * 4 % width
    pixels[:, left : left + 8] = 220
    pixels[: height // 4, : width // 4] = (200, 30, 30)
    return pixels


def psnr(a, b):
    """Likeness of two pictures in dB."""
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


def lag(heard, wanted):
    """By how many samples a signal comes later than it should."""
    size = 1 << (len(heard) + len(wanted)).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size))
    place = int(np.argmax(np.fft.irfft(spectrum)))
    return place if place < size // 2 else place - size


def beep_and_flash(seconds, at_s, *, rate=48_000, fps=25, width=64, height=48):
    """Sound and pictures in which one beep and one flash happen at once."""
    samples = np.zeros((round(seconds * rate), 1), np.float32)
    start = round(at_s * rate)
    samples[start : start + rate // 10] = 0.8
    frames = []
    for number in range(round(seconds * fps)):
        bright = number == round(at_s * fps)
        frames.append(np.full((height, width, 3), 255 if bright else 0, np.uint8))
    return samples, frames


@dataclasses.dataclass
class Probe:
    """What PyAV finds in a file."""

    format: str
    codecs: dict
    samples: np.ndarray | None = None
    sample_rate: int = 0
    audio_start_s: float = 0.0
    pictures: list = dataclasses.field(default_factory=list)
    times_s: list = dataclasses.field(default_factory=list)
    colours: tuple = ()
    average_rate: Fraction | None = None


def probe(path):
    """Decode a whole file without our own code."""
    with av.open(str(path)) as container:
        found = Probe(
            container.format.name, {s.type: s.codec_context.name for s in container.streams}
        )
        parts = []
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                found.pictures.append(frame.to_ndarray(format="rgb24"))
                found.times_s.append(frame.time)
                found.colours = (int(frame.colorspace), int(frame.color_range))
            else:
                if not parts:
                    found.audio_start_s = frame.time
                found.sample_rate = frame.sample_rate
                array = frame.to_ndarray()
                channels = frame.layout.nb_channels
                planar = frame.format.is_planar
                parts.append(array.T if planar else array.reshape(-1, channels))
        if parts:
            found.samples = np.concatenate(parts)
        for stream in container.streams.video:
            found.average_rate = stream.average_rate
    return found


def make_file(
    path,
    *,
    seconds=1.0,
    video="libx264",
    audio="aac",
    rate=48_000,
    channels=1,
    fps=25,
    size=(64, 48),
    times=None,
    samples=None,
    pictures=None,
    **options,
):
    """Write a file with PyAV alone.

    Args:
        path: where; its suffix says the container.
        times: times of the frames in seconds; None: evenly.
        options: of the container.
    """
    with av.open(str(path), "w", options={k: str(v) for k, v in options.items()}) as container:
        streams = []
        if video:
            streams.append(_add_video(container, video, fps, size))
            if path.suffix == ".avi":  # which has no times but the rate's
                streams[0].codec_context.time_base = Fraction(1, fps)
        if audio:
            sound = container.add_stream(audio, rate=rate)
            sound.layout = "mono" if channels == 1 else "stereo"
            if audio in {"aac", "libmp3lame", "libopus"}:
                sound.bit_rate = 128_000
            streams.append(sound)
        samples = tone(seconds, rate, channels) if samples is None else samples
        pictures = pictures or [picture(n, *size) for n in range(round(seconds * fps))]
        times = times or [number / fps for number in range(len(pictures))]
        events = []
        if video:
            for at, pixels in zip(times, pictures, strict=False):
                events.append((at, "video", pixels))
        if audio:
            step = rate // 50
            events += [
                (start / rate, "audio", (start, samples[start : start + step]))
                for start in range(0, len(samples), step)
            ]
        for at, kind, content in sorted(events, key=lambda event: event[0]):
            stream = next(s for s in streams if s.type == kind)
            if kind == "video":
                frame = av.VideoFrame.from_ndarray(content, format="rgb24")
                frame.pts, frame.time_base = round(at * 60_000), Fraction(1, 60_000)
            else:
                start, part = content
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(part).reshape(1, -1),
                    format={"float32": "flt", "int16": "s16"}[part.dtype.name],
                    layout="mono" if part.shape[1] == 1 else "stereo",
                )
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def _add_video(container, codec, fps, size):
    stream = container.add_stream(codec, rate=fps)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, 60_000)
    stream.codec_context.thread_count = 1
    stream.codec_context.gop_size = 10
    return stream


@pytest.fixture(scope="session")
def media():
    """The functions of this module, by name."""
    return dataclasses.make_dataclass(
        "Media", ["tone", "picture", "psnr", "beep_and_flash", "probe", "make_file", "lag"]
    )(tone, picture, psnr, beep_and_flash, probe, make_file, lag)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A second of sound and 25 pictures in an MP4; read only."""
    return make_file(tmp_path_factory.mktemp("media") / "clip.mp4")


@pytest.fixture(scope="session")
def audio_of():
    """The samples of some payloads, one after the other."""

    def join(payloads):
        return np.concatenate([p.samples for p in payloads if isinstance(p, Audio)])

    return join


@pytest.fixture(scope="session")
def frames_of():
    """The frames among some payloads."""
    return lambda payloads: [p for p in payloads if isinstance(p, Video)]
