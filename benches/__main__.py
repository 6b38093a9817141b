"""`python -m benches [NAME] [--json] [--rounds N]`: run one bench, or all; `list` names them."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import traceback
from typing import TYPE_CHECKING, Protocol

import benches
from benches import report
from benches.rounds import ROUNDS_DEFAULT, ROUNDS_MIN

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREFIX = "bench_"


class Bench(Protocol):
    """A module `benches.bench_…`."""

    __doc__: str | None

    def run(self, rounds: int) -> list[report.Result]:
        """Measure; what comes out of what is measured is asserted."""


def names() -> list[str]:
    """All benches there are."""
    modules = pkgutil.iter_modules(benches.__path__)
    return [
        module.name.removeprefix(_PREFIX) for module in modules if module.name.startswith(_PREFIX)
    ]


def load(name: str) -> Bench:
    """The module of a bench."""
    module: Bench = importlib.import_module(f"benches.{_PREFIX}{name}")
    return module


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benches.

    Returns:
        0: they ran, and what they measured did its work, fast enough or not; 1: one did not;
        2: there is no such bench.
    """
    options = _parser().parse_args(arguments)
    known = names()
    if options.name == "list":
        for name in known:
            print(f"{name:<16} {(load(name).__doc__ or '').splitlines()[0]}")
        return 0
    if options.name not in {None, *known}:
        print(f"there is no bench {options.name!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    wanted = known if options.name is None else [options.name]
    return max(_run(name, options) for name in wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("name", nargs="?", help="a bench, or `list`; all of them by default")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object per bench, on its last line"
    )
    parser.add_argument("--markdown", action="store_true", help="tables for docs/performance.md")
    parser.add_argument(
        "--rounds",
        type=_rounds,
        default=ROUNDS_DEFAULT,
        help=f"at least {ROUNDS_MIN}; default %(default)s",
    )
    return parser


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < ROUNDS_MIN:
        raise argparse.ArgumentTypeError(
            f"at least {ROUNDS_MIN} rounds: fewer say nothing about the spread"
        )
    return int(text)


def _run(name: str, options: argparse.Namespace) -> int:
    facts = report.machine()  # before the bench, whose own load is none of the machine's
    try:
        results = load(name).run(options.rounds)
    except Exception:  # noqa: BLE001 - printed, and the other benches are still wanted
        traceback.print_exc()
        return 1
    if options.markdown:
        print(report.to_markdown(facts, results))
    else:
        report.print_table(name, facts, results)
    if options.json:
        print(report.to_json(name, facts, results), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
