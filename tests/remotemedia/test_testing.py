"""remotemedia.testing: the test kit by the name that users import."""

import engine.testing
import remotemedia.testing


def test_it_is_the_engines_kit_whole():
    assert remotemedia.testing.__all__ == engine.testing.__all__
    assert all(
        getattr(remotemedia.testing, name) is getattr(engine.testing, name)
        for name in engine.testing.__all__
    )
