import os
import re
from pathlib import Path

import pytest

from operators.speech import espeak_library
from operators.speech.espeak_library import EspeakLibrary, voice_names


@pytest.fixture
def library():
    opened = EspeakLibrary()
    yield opened
    opened.close()


def spoken(library, text, voice="en-us", **manner):
    with library.image() as image:
        image.set_voice(voice)
        image.set_manner(**({"rate_wpm": 175, "pitch": 50, "volume": 100} | manner))
        return image.speak(text)


def test_a_text_sounds_the_same_whatever_was_said_before(library):
    first = spoken(library, "Turn on the light.")
    spoken(library, "Something else, spoken in another manner?", "de", rate_wpm=300, pitch=90)
    assert spoken(library, "Turn on the light.") == first
    assert len(first) > 20_000


def test_the_library_itself_would_not(library):
    """Why every text has an image of its own; may fall away when espeak-ng changes."""
    with library.image() as image:
        image.set_voice("en-us")
        assert image.speak("Turn on the light.") != image.speak("Turn on the light.")


def test_images_of_two_libraries_do_not_disturb_each_other(library):
    alone = [spoken(library, "Good morning.", voice) for voice in ("en-us", "fr-fr")]
    other = EspeakLibrary()
    with library.image() as english, other.image() as french:
        english.set_voice("en-us")
        french.set_voice("fr-fr")
        both = [english.speak("Good morning."), french.speak("Good morning.")]
    other.close()
    assert both == alone


def test_nothing_stays_loaded_or_open():
    def entries(name: str) -> int:
        return len(list(Path("/proc/self", name).iterdir()))

    before = entries("fd"), entries("task")
    library = EspeakLibrary()
    spoken(library, "Hello.")
    library.close()
    assert "espeak" not in Path("/proc/self/maps").read_text()
    assert (entries("fd"), entries("task")) == before


def test_without_memory_files_a_temporary_one_serves(monkeypatch, tmp_path):
    expected = EspeakLibrary()
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(espeak_library.tempfile, "tempdir", str(tmp_path))
    library = EspeakLibrary()
    assert len(list(tmp_path.iterdir())) == 1
    assert spoken(library, "Hello.") == spoken(expected, "Hello.")
    library.close()
    expected.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("en-gb", "gmw/en"),
        ("EN-GB", "gmw/en"),
        ("English (Great Britain)", "gmw/en"),
        ("English (America)", "en-us"),
        ("en-gb+f3", "gmw/en+f3"),
    ],
)
def test_a_voice_has_several_names(library, name, same):
    assert spoken(library, "Hello.", name) == spoken(library, "Hello.", same)


def test_voices_differ(library):
    voices = ("en-us", "en-us+f3", "en-gb", "de")
    assert len({spoken(library, "Hello.", voice) for voice in voices}) == len(voices)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("en-uk", r"no voice 'en-uk'; nearest are .*en-.*; .*voice_names\(\)"),
        ("qqqqqqqq", r"no voice 'qqqqqqqq'; operators.speech.espeak_library.voice_names\(\)"),
        ("en-us+nobody", "no voice variant 'nobody'"),
    ],
)
def test_an_unknown_voice_is_refused_with_the_nearest(library, name, message):
    with library.image() as image, pytest.raises(ValueError, match=message):
        image.set_voice(name)


def test_voice_names_can_be_listed():
    names = voice_names()
    assert {"en-us", "en-gb", "de", "English (America)"} <= set(names)
    assert names == sorted(names)


def test_manner_is_heard(library):
    plain = spoken(library, "Hello there.")
    assert len(spoken(library, "Hello there.", rate_wpm=350)) < len(plain)
    assert spoken(library, "Hello there.", pitch=90) != plain
    assert not any(spoken(library, "Hello there.", volume=0))


def test_an_error_in_the_callback_is_raised_by_speak(library, monkeypatch):
    with library.image() as image:
        image.set_voice("en-us")

        def full(*_):
            raise MemoryError

        monkeypatch.setattr(espeak_library.ctypes, "string_at", full)
        with pytest.raises(MemoryError):
            image.speak("Hello.")
        monkeypatch.undo()
        assert image.speak("Hello.")


def test_text_of_any_kind_is_no_problem(library):
    for text in ("a\0b", "\ud800", "🙂", "<b>&amp;</b>", "[[h@l'oU]]", "日本語"):
        spoken(library, text)
    assert len(spoken(library, "a\0b")) > len(spoken(library, "a"))


def test_data_that_is_missing_is_said(library, tmp_path, capfd):
    library.data_path = tmp_path
    message = re.escape(f"cannot be initialized with {tmp_path}")
    with pytest.raises(RuntimeError, match=message), library.image():
        pass
