"""Everything that makes a graph run; knows no operator, no transport, no proto.

The public names live in `remotemedia`; inside the engine, import from the module that owns a thing.
"""
