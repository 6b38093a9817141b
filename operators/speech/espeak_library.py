"""The espeak-ng library, bound so that a text always sounds the same.

Source: FR-002. The library (https://github.com/espeak-ng/espeak-ng, `speak_lib.h`) comes with the
package espeakng_loader.

espeak-ng keeps its state in C variables, some of which nothing resets: the phase of the pitch's
flutter, for one, goes on from text to text, so that the same words come out with another length and
other samples each time. And there is one set of them per process, shared by all who use it.
Therefore every text is spoken by an image of the library of its own: it is loaded from a private
copy of the file, which the loader takes for another library, and unloaded afterwards, variables and
all. That costs about 5 ms per text, most of it for the voice's dictionary, and leaks nothing (8 kB
in 300 rounds). What two nodes of one process do is as separate as in two processes.
"""

from __future__ import annotations

import _ctypes
import ctypes
import difflib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

# Names and values of speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS: Final = 2
_INITIALIZE_DONT_EXIT: Final = 0x8000
_CHARS_UTF8: Final = 1
_ENDPAUSE: Final = 0x1000
_POS_CHARACTER: Final = 1
_RATE, _VOLUME, _PITCH = 1, 2, 3
_CONTINUE, _ABORT = 0, 1

#: The callback's buffer. Its length has no influence on the samples; it is called once per buffer.
_BUFFER_MS: Final = 1_000


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),  # a priority byte and a string, repeated; then a zero
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakLibrary:
    """A private copy of the library's file, from which images are loaded.

    Attributes:
        data_path: the directory with voices and dictionaries.
    """

    def __init__(self) -> None:
        import espeakng_loader

        self.data_path = Path(espeakng_loader.get_data_path())
        self._temporary: Path | None = None
        content = Path(espeakng_loader.get_library_path()).read_bytes()
        try:
            # In memory, so that nothing is left behind whatever happens to the process.
            self._descriptor = os.memfd_create("espeak-ng", os.MFD_CLOEXEC)
        except (AttributeError, OSError):  # not on this system, or not in this container
            self._descriptor, name = tempfile.mkstemp(".so", "espeak-ng-")
            self._temporary = Path(name)
        with os.fdopen(os.dup(self._descriptor), "wb") as file:
            file.write(content)

    @property
    def path(self) -> str:
        """Where the copy can be loaded from."""
        return str(self._temporary or f"/proc/self/fd/{self._descriptor}")

    def image(self) -> EspeakImage:
        """A fresh image; open it with `with`."""
        return EspeakImage(self)

    def close(self) -> None:
        """Give the copy up; images must be closed."""
        os.close(self._descriptor)
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def variants(self) -> list[str]:
        """Names that may follow a voice's after a plus sign: "f3" in "en-us+f3"."""
        return sorted(path.name for path in (self.data_path / "voices" / "!v").iterdir())


class EspeakImage:
    """One loaded image of the library: one voice, one text after another.

    Attributes:
        sample_rate: Hz.
    """

    def __init__(self, library: EspeakLibrary) -> None:
        self.sample_rate = 0
        self._library = library
        self._calls: Any = None
        self._heard: list[bytes] = []
        self._error: BaseException | None = None
        # The library keeps a pointer to it: it must live as long as the image.
        self._callback = _SynthCallback(self._hear)

    def __enter__(self) -> Self:
        """Load and initialize.

        Raises:
            RuntimeError: the library cannot be initialized.
        """
        self._calls = _declared(ctypes.CDLL(self._library.path))
        data_path = os.fsencode(self._library.data_path)
        self.sample_rate = self._calls.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data_path, _INITIALIZE_DONT_EXIT
        )
        if self.sample_rate <= 0:
            self.close()
            raise RuntimeError(f"espeak-ng cannot be initialized with {self._library.data_path}")
        self._calls.espeak_SetSynthCallback(self._callback)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unload; does nothing the second time."""
        calls, self._calls = self._calls, None
        if calls is not None:
            if self.sample_rate > 0:
                calls.espeak_Terminate()
            _ctypes.dlclose(calls._handle)  # noqa: SLF001 - ctypes has no public way to unload

    def voices(self) -> dict[str, str]:
        """Names by which voices can be chosen → the library's name for the voice.

        These are language tags ("en-us"), file names ("gmw/en-US") and names ("English (America)").
        """
        listed = self._calls.espeak_ListVoices(None)
        voices: dict[str, str] = {}
        position = 0
        while listed[position]:
            voice = listed[position].contents
            identifier = voice.identifier.decode()
            for name in (identifier, voice.name.decode(), *_languages(voice.languages)):
                # Listed by preference: the first voice for a language is the one for it.
                voices.setdefault(name, identifier)
            position += 1
        return voices

    def set_voice(self, name: str) -> None:
        """Choose the voice.

        Raises:
            ValueError: there is no such voice; the message names the nearest.
        """
        base, _, variant = name.partition("+")
        if variant and variant not in self._library.variants():
            raise ValueError(_unknown("voice variant", variant, self._library.variants()))
        if self._calls.espeak_SetVoiceByName(name.encode()) == 0:
            return
        voices = self.voices()
        found = {known.lower(): voice for known, voice in voices.items()}.get(base.lower())
        if found is None:
            raise ValueError(_unknown("voice", base, list(voices)))
        self._calls.espeak_SetVoiceByName("+".join(filter(None, (found, variant))).encode())

    def set_manner(self, *, rate_wpm: int, pitch: int, volume: int) -> None:
        """Choose how it speaks: words per minute, 0…99, percent."""
        for parameter, value in ((_RATE, rate_wpm), (_PITCH, pitch), (_VOLUME, volume)):
            self._calls.espeak_SetParameter(parameter, value, 0)

    def speak(self, text: str) -> bytes:
        """Speak a text, and the pause after it.

        Returns:
            int16 samples, mono, native byte order, at `sample_rate`.

        Raises:
            RuntimeError: the library failed.
        """
        # A NUL would end the text; a lone surrogate has no UTF-8.
        encoded = text.replace("\0", " ").encode("utf-8", "replace")
        self._heard = []
        status = self._calls.espeak_Synth(
            encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8 | _ENDPAUSE, None, None
        )
        error, self._error = self._error, None
        if error is not None:
            raise error
        if status != 0:
            raise RuntimeError(f"espeak-ng failed with status {status} on {text[:100]!r}")
        heard, self._heard = self._heard, []
        return b"".join(heard)

    def _hear(self, samples: Any, count: int, events: int | None) -> int:
        # What is raised here would only be printed by ctypes: it is kept and raised by speak.
        try:
            if samples and count:
                self._heard.append(ctypes.string_at(samples, 2 * count))
        except BaseException as error:  # noqa: BLE001 - raised again outside the callback
            self._error = error
            return _ABORT
        return _CONTINUE


def voice_names() -> list[str]:
    """All names that choose a voice, sorted."""
    library = EspeakLibrary()
    try:
        with library.image() as image:
            return sorted(image.voices())
    finally:
        library.close()


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Tell ctypes the prototypes of speak_lib.h."""
    calls: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "espeak_Initialize": (
            ctypes.c_int,
            (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int),
        ),
        "espeak_SetSynthCallback": (None, (_SynthCallback,)),
        "espeak_SetParameter": (ctypes.c_int, (ctypes.c_int, ctypes.c_int, ctypes.c_int)),
        "espeak_SetVoiceByName": (ctypes.c_int, (ctypes.c_char_p,)),
        "espeak_ListVoices": (ctypes.POINTER(ctypes.POINTER(_Voice)), (ctypes.POINTER(_Voice),)),
        "espeak_Synth": (
            ctypes.c_int,
            (
                ctypes.c_char_p,
                ctypes.c_size_t,
                ctypes.c_uint,
                ctypes.c_int,
                ctypes.c_uint,
                ctypes.c_uint,
                ctypes.POINTER(ctypes.c_uint),
                ctypes.c_void_p,
            ),
        ),
        "espeak_Terminate": (ctypes.c_int, ()),
    }
    for name, (result, arguments) in calls.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def _languages(address: int | None) -> list[str]:
    languages = []
    while address and ctypes.string_at(address, 1) != b"\0":
        language = ctypes.string_at(address + 1)
        languages.append(language.decode())
        address += 2 + len(language)
    return languages


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    nearest = f"nearest are {', '.join(near)}; " if near else ""
    return (
        f"espeak-ng has no {what} {name!r}; {nearest}operators.speech.espeak_library.voice_names()"
        " lists the voices"
    )
