import pytest

from operators.audio.port_names import check_names, port_names


def test_names_are_numbered_unless_given():
    assert port_names("ch", 3, None) == ("ch0", "ch1", "ch2")
    assert port_names("ch", 3, ("left", "right")) == ("left", "right")


def test_names_differ_and_agree_with_a_count():
    check_names(("left", "right"), 2, "channels")
    check_names(("left", "right"), None, "channels")
    with pytest.raises(ValueError, match="left occurs twice"):
        check_names(("left", "left"), None, "channels")
    with pytest.raises(ValueError, match="channels is 3, but there are 2 names"):
        check_names(("left", "right"), 3, "channels")
