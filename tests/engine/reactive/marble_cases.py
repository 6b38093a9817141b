"""Operators of reactivex with marble diagrams of what they are given, most from its own docs.

One character is one second; digits are numbers, `(12)` comes at one instant, `|` is the end. Spans
are odd, so that no timer is due at the instant of an item: which goes first then is nobody's law.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import reactivex
from reactivex import operators as ops


def arguments(*args, **kwargs):
    """The same arguments, whatever other sources there are."""
    return lambda *others: (args, kwargs)


def others(*sources):
    """The other sources as the arguments."""
    return sources, {}


@dataclass
class Case:
    """One operator on one set of sources.

    Attributes:
        name: the operator, of `reactivex.operators`.
        sources: marbles; the operator stands behind the first, the others are for its arguments.
        make: the other sources → (args, kwargs) of the operator.
        before: operators before it.
        after: operators behind it, which flatten what it gives.
    """

    name: str
    sources: tuple[str, ...]
    make: Callable
    before: list = field(default_factory=list)
    after: list = field(default_factory=list)
    note: str = ""

    @property
    def id(self):
        return f"{self.name} {self.note}".strip()

    def build(self, first, *rest):
        args, kwargs = self.make(*rest)
        return first.pipe(*self.before, getattr(ops, self.name)(*args, **kwargs), *self.after)


def one(name, marbles, *args, note="", before=(), after=(), **kwargs):
    return Case(name, (marbles,), arguments(*args, **kwargs), list(before), list(after), note)


def two(name, first, second, make=others, *, note="", after=()):
    return Case(name, (first, second), make, [], list(after), note)


def timer(seconds):
    return lambda *_: reactivex.timer(seconds)


def delayed(value):
    """The value as many seconds later as it says, less a little."""
    return reactivex.timer(value * 0.9).pipe(ops.map(lambda _: value))


def is_even(value, *_):
    return value % 2 == 0


def boom_at(value):
    def check(item):
        if item == value:
            raise ValueError(f"boom at {item}")
        return item

    return ops.map(check)


def in_lists():
    """Each inner observable as the list of its items."""
    return ops.flat_map(lambda inner: inner.pipe(ops.to_list()))


def plus(left, right):
    return left + right


WITHOUT_TIME = [
    one("all", "-2-4-6-|", is_even),
    one("all", "-2-3-6-|", is_even, note="false"),
    one("as_observable", "-1-2-|"),
    one("average", "-1-2-6-|"),
    one("contains", "-1-2-3-|", 2),
    one("count", "-1-2-3-4-|", is_even),
    one("default_if_empty", "---|", 7),
    one("dematerialize", "-1-2-|", before=[ops.materialize()]),
    one("distinct", "-1-2-1-3-2-|"),
    one("distinct", "-1-2-3-4-|", lambda value: value % 2, note="by key"),
    one("distinct_until_changed", "-1-1-2-2-1-|"),
    one("do_action", "-1-2-|", lambda value: None),
    one("tap", "-1-2-|", lambda value: None),
    one("element_at", "-1-2-3-|", 1),
    one("element_at", "-1-|", 3, note="out of range"),
    one("element_at_or_default", "-1-|", 3, 9),
    one("exclusive", "-1-3-1-1-|", before=[ops.map(delayed)]),
    one("filter", "-1-2-3-4-|", is_even),
    one("filter_indexed", "-1-2-3-4-|", lambda value, index: index > 1),
    one("finally_action", "-1-|", lambda: None),
    one("find", "-1-2-3-|", lambda value, *_: value == 2),
    one("find_index", "-1-2-3-|", lambda value, *_: value == 3),
    one("first", "--1-2-|"),
    one("first", "--1-2-|", is_even, note="of some"),
    one("first_or_default", "--1-|", is_even, 8),
    one("ignore_elements", "-1-2-|"),
    one("is_empty", "--|"),
    one("last", "-1-2-3-|"),
    one("last", "--|", note="of none"),
    one("last_or_default", "--|", 4),
    one("map", "-1-2-(34)-|", lambda value: value * 10),
    one("map", "-1-2-3-|", lambda value: 6 // (value - 2), note="raises"),
    one("map_indexed", "-1-2-3-|", lambda value, index: value * index),
    one("materialize", "-1-2-|"),
    one("max", "-1-3-2-|"),
    one("max_by", "-1-3-2-3-|", lambda value: value),
    one("min", "-3-1-2-|"),
    one("min_by", "-3-1-2-1-|", lambda value: value),
    one("multicast", "-1-2-|", subject_factory=lambda _: reactivex.Subject(), mapper=lambda o: o),
    one("pairwise", "-1-2-3-4-|"),
    one("pluck", "-1-2-|", "v", before=[ops.map(lambda value: {"v": value})]),
    one("pluck_attr", "-1-2-|", "imag"),
    one("publish", "-1-2-|", lambda shared: shared.pipe(ops.zip(shared))),
    one("publish_value", "-1-2-|", 0, lambda shared: shared),
    one("reduce", "-1-2-3-|", plus),
    one("reduce", "-1-2-3-|", plus, 10, note="seeded"),
    one("replay", "-1-2-|", mapper=lambda shared: shared.pipe(ops.take(2))),
    one("scan", "-1-2-3-4-|", plus),
    one("scan", "-1-2-3-4-|", plus, 10, note="seeded"),
    one("share", "-1-2-|"),
    one("single", "--1--|"),
    one("single", "-1-2-|", note="of two"),
    one("single_or_default", "---|", None, 5),
    one("skip", "-1-2-3-|", 2),
    one("skip_last", "-1-2-3-4-|", 2),
    one("skip_while", "-1-2-3-1-|", lambda value: value < 3),
    one("skip_while_indexed", "-1-2-3-|", lambda value, index: index < 1),
    one("slice", "-1-2-3-4-5-|", 1, 4, 2),
    one("some", "-1-2-3-|", is_even),
    one("starmap", "-1-2-3-|", plus, before=[ops.pairwise()]),
    one("starmap_indexed", "-1-2-3-|", lambda a, b, i: a * b + i, before=[ops.pairwise()]),
    one("start_with", "-1-2-|", 8, 9),
    one("sum", "-1-2-3-|"),
    one("take", "-1-2-3-|", 2),
    one("take", "-1-|", 0, note="none"),
    one("take_last", "-1-2-3-|", 2),
    one("take_last_buffer", "-1-2-3-|", 2),
    one("take_while", "-1-2-3-1-|", lambda value: value < 3),
    one("take_while", "-1-2-3-1-|", lambda value: value < 3, inclusive=True, note="inclusive"),
    one("take_while_indexed", "-1-2-3-|", lambda value, index: index < 2),
    one("to_dict", "-1-2-|", lambda value: value, lambda value: value * 10),
    one("to_iterable", "-1-2-|"),
    one("to_list", "-1-2-|"),
    one("to_set", "-1-2-1-|"),
    one("zip_with_iterable", "-1-2-3-|", [7, 8]),
    one("buffer_with_count", "-1-2-3-4-5-|", 2),
    one("buffer_with_count", "-1-2-3-4-5-|", 2, 3, note="skipping"),
    one("window_with_count", "-1-2-3-4-5-|", 2, after=[in_lists()]),
    one("window_with_count", "-1-2-3-4-5-|", 3, 1, after=[in_lists()], note="overlapping"),
    one("group_by", "-1-2-3-4-5-|", lambda value: value % 2, after=[in_lists()]),
    one("flat_map", "-1-2-|", lambda value: reactivex.of(value, value * 10)),
    one("concat_map", "-1-2-|", lambda value: reactivex.of(value, value * 10)),
]

ERRORS = [
    one("catch", "-1-2-3-4-|", lambda error, source: reactivex.of(8, 9), before=[boom_at(3)]),
    one("catch", "-1-2-3-4-|", lambda e, source: source, before=[boom_at(3)], note="and again"),
    one("retry", "-1-2-3-4-|", 2, before=[boom_at(3)]),
    one("retry", "-3-1-3-4-|", 2, before=[boom_at(3)], note="in vain"),
    one("on_error_resume_next", "-1-2-3-|", reactivex.of(9), before=[boom_at(2)]),
    one("materialize", "-1-2-3-|", before=[boom_at(2)], note="an error"),
    one("finally_action", "-1-2-|", lambda: None, before=[boom_at(2)], note="of an error"),
    one("do_action", "-1-2-|", on_error=lambda error: None, before=[boom_at(2)], note="on error"),
]

TIME = [
    one("debounce", "-1---2-3-----4-|", 1.3),
    one("throttle_with_timeout", "-1---2-3-----4-|", 1.3),
    one("throttle_first", "-123-4--5-6-|", 2.5),
    one("throttle_with_mapper", "-3---1-2-----1-|", delayed),
    one("sample", "-1-2---3-4-5--|", 1.7),
    one("delay", "-1-2-3-|", 2.3),
    one("delay_subscription", "-1-2-3-4-|", 2.5),
    one("delay_with_mapper", "-3-1-2-|", delayed),
    one("timeout", "-1-2------3-|", 2.5),
    one("timeout", "-1-2------3-|", 2.5, reactivex.of(8, 9), note="and other"),
    one("timeout_with_mapper", "-1-2-----3-|", reactivex.timer(3.3), timer(2.7)),
    one("timestamp", "-1--2-|"),
    one("time_interval", "-1--2----3-|"),
    one("take_with_time", "-1-2-3-4-|", 4.5),
    one("take_last_with_time", "-1-2-3-4-|", 3.5),
    one("skip_with_time", "-1-2-3-4-|", 4.5),
    one("skip_last_with_time", "-1-2-3-4-|", 3.5),
    one("buffer_with_time", "-1-23--4-----5-|", 2.3),
    one("buffer_with_time", "-1-23--4-----5-|", 2.3, 1.15, note="overlapping"),
    one("buffer_with_time_or_count", "-123-4-----567-|", 2.3, 2),
    one("buffer_when", "-1-2-3-4-5-|", timer(2.3)),
    one("window_with_time", "-1-23--4-----5-|", 2.3, after=[in_lists()]),
    one("window_with_time_or_count", "-123-4-----567-|", 2.3, 2, after=[in_lists()]),
    one("window_when", "-1-2-3-4-5-|", timer(2.3), after=[in_lists()]),
    one("group_by_until", "-1-2-3-4-5-6-|", is_even, None, timer(3.3), after=[in_lists()]),
    one("flat_map", "-3-1-2-|", delayed, note="of timers"),
    one("flat_map_indexed", "-3-1-2-|", lambda value, index: delayed(value + index)),
    one("flat_map_latest", "-3-1--2-|", delayed),
    one("concat_map", "-3-1-2-|", delayed, note="of timers"),
    one("switch_map", "-3-1--2-|", delayed),
    one("switch_map_indexed", "-3-1--2-|", lambda value, index: delayed(value)),
    one("switch_latest", "-3-1--2-|", before=[ops.map(delayed)]),
    one("merge_all", "-3-1-2-|", before=[ops.map(delayed)]),
    one("merge", "-3-1-2-|", max_concurrent=1, before=[ops.map(delayed)], note="one at a time"),
    one("concat_all", "-3-1-2-|", before=[ops.map(delayed)]),
    one("expand", "-1-|", lambda value: delayed(value + 1) if value < 3 else reactivex.empty()),
    one("retry", "-1-5-2--|", 2, before=[ops.timeout(2.5)], note="of a timeout"),
]

TWO_SOURCES = [
    two("amb", "---1-2-|", "--3-4---|"),
    two("merge", "-1---3-|", "--2-4---|"),
    two("concat", "-1-2-|", "--7----8-|"),
    two("zip", "-1-2-3---|", "---4-5-6-7-|"),
    two("zip", "-1-2|", "------4-5-6-7-|", note="ends early"),
    two("zip_latest", "-1---3-|", "--2-4---|"),
    two("combine_latest", "-1---3-|", "--2-4---|"),
    two("with_latest_from", "-1---3-5-|", "--2-4----|"),
    two("fork_join", "-1-2-|", "--3---4-|"),
    two("sequence_equal", "-1-2-|", "---1--2-|"),
    two("sequence_equal", "-1-2-|", "---1--3-|", note="not"),
    two("sample", "-1-2---3-4-|", "--0---0---0-|", note="by another"),
    two("skip_until", "-1-2-3-|", "--0----|"),
    two("take_until", "-1-2-3-|", "----0--|"),
    two("buffer", "-1-2-3-4-|", "----0---0---|"),
    two("buffer_toggle", "-1-2-3-4-5-|", "--1---1-----|", lambda o: ((o, timer(3.3)), {})),
    two("window", "-1-2-3-4-|", "----0---0---|", after=[in_lists()]),
    two(
        "window_toggle",
        "-1-2-3-4-5-|",
        "--1---1-----|",
        lambda openings: ((openings, timer(3.3)), {}),
        after=[in_lists()],
    ),
    two(
        "join",
        "-1---2-|",
        "--3-4---|",
        lambda right: ((right, timer(2.3), timer(1.7)), {}),
    ),
    two(
        "group_join",
        "-1---2-|",
        "--3-4---|",
        lambda right: ((right, timer(2.3), timer(1.7)), {}),
        after=[ops.flat_map(lambda pair: pair[1].pipe(ops.map(lambda item: (pair[0], item))))],
    ),
    two("timeout", "-1-----2-|", "----5-6---|", lambda o: ((2.5, o), {}), note="to another"),
]

CASES = WITHOUT_TIME + ERRORS + TIME + TWO_SOURCES
