"""The older Python API, on this project's engine: node classes written for it run unchanged.

Not loaded by `import remotemedia`. `remotemedia.core.node`, `.multiprocess` and `.multiprocessing`
have the same names.
"""

from engine import preloads
from remotemedia.core.node import *  # noqa: F403 - its __all__ is the layer's
from remotemedia.core.node import __all__  # noqa: F401 - of a star import to come

preloads.add("remotemedia.core.node")
