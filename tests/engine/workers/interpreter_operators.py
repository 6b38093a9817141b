"""Operators for workers of other interpreters."""

import sys

from engine.operator import Operator
from engine.payloads import Text


class Where(Operator):
    """Says which environment it runs in."""

    node_type = "Where"

    def process(self, packet, ctx):
        return Text(sys.prefix)
