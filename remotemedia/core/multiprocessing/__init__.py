"""The older Python API by one of its names; see `remotemedia.core.node`."""

from remotemedia.core.node import *  # noqa: F403 - its __all__ is the layer's
from remotemedia.core.node import __all__  # noqa: F401 - of a star import to come
