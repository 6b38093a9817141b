"""What workers of other interpreters run; imported there through extra_paths."""

import os
import sys

import numpy as np
import pydantic

import engine


def report(spec, fds, lane):
    lane.ready()
    facts = {
        "executable": sys.executable,
        "prefix": sys.prefix,
        "engine": engine.__file__,
        "path": sys.path,
        "parent": os.getppid(),
        "sum": int(np.arange(4).sum()),
        "pydantic": pydantic.__file__,
    }
    for name in spec.get("import", ()):
        facts[name] = __import__(name).__file__
    lane.finished(facts)
