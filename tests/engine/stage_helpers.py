"""Operators out of functions, and a few that several tests of stages need."""

import functools
import inspect

from engine.operator import Operator
from engine.payloads import Text
from engine.testing import run_virtual


def virtual(test):
    """Runs a coroutine test on a loop on virtual time."""

    @functools.wraps(test)
    def run(*arguments, **named):
        run_virtual(test(*arguments, **named))

    return run


def operator(process=None, **members):
    """An operator whose methods are these functions, without `self`; other members are attributes.

    Methods that are given by name (flush, reset, wants) take what the contract says.
    """
    namespace = {"process": process or (lambda packet, ctx: packet), **members}
    namespace = {
        name: staticmethod(member) if inspect.isfunction(member) else member
        for name, member in namespace.items()
    }
    return type("Made", (Operator,), {"__module__": __name__, **namespace})()


def texts(count, prefix=""):
    return [Text(f"{prefix}{number}") for number in range(count)]


def tagged(tag):
    """Appends a tag to a text."""
    return operator(lambda packet, ctx: Text(packet.payload.text + tag))


def repeat(count, kind="list", tag=""):
    """Hands out a text several times, numbered: as a list, or as a generator."""

    def items(packet):
        return (Text(f"{packet.payload.text}{tag}.{number}") for number in range(count))

    if kind == "list":
        return operator(lambda packet, ctx: list(items(packet)))
    return operator(lambda packet, ctx: items(packet))


def keep(predicate):
    """Passes on the texts a predicate is true of."""
    return operator(lambda packet, ctx: packet if predicate(packet.payload.text) else None)


class Join(Operator):
    """Holds texts until there are `size` of them, then hands out all in one."""

    stateful = True

    def __init__(self, size):
        super().__init__()
        self.size = size
        self.held = []

    def process(self, packet, ctx):
        self.held.append(packet.payload.text)
        return self.flush(ctx) if len(self.held) == self.size else None

    def flush(self, ctx):
        held, self.held = self.held, []
        return Text("+".join(held)) if held else None

    def reset(self, ctx):
        self.held = []
