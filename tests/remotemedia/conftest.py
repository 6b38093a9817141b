"""A place to run the command in; nothing of what it started may be left."""

import pytest

from tests.remotemedia.cli_helpers import Place


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.close()
    assert place.left() == set()
