"""`python -m benches [NAME] [--json] [--rounds N]`: run one bench, or all; `list` names them.

A bench may have options of its own, see `python -m benches NAME --help`.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import traceback
from typing import TYPE_CHECKING, Any, Protocol

import benches
from benches import report
from benches.rounds import ROUNDS_DEFAULT, ROUNDS_MIN

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREFIX = "bench_"


class Bench(Protocol):
    """A module `benches.bench_…`.

    Where it has options of its own, its `add_options(parser)` adds them, each with a default and
    with the name of one of `run`'s arguments. Where it has tables of its own for the documentation,
    its `to_markdown(facts, results)` makes them; see `benches.report.to_markdown`.
    """

    __doc__: str | None

    def run(self, rounds: int, **options: Any) -> list[report.Result]:
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
    named, _ = _parser(add_help=False).parse_known_args(arguments)
    known = names()
    if named.name == "list":
        for name in known:
            print(f"{name:<16} {(load(name).__doc__ or '').splitlines()[0]}")
        return 0
    if named.name not in {None, *known}:
        print(f"there is no bench {named.name!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    parser = _parser()
    wanted = known if named.name is None else [named.name]
    if named.name is not None:
        getattr(load(named.name), "add_options", lambda _: None)(parser)
    options = parser.parse_args(arguments)
    own = {name: value for name, value in vars(options).items() if name not in vars(named)}
    return max(_run(name, options, own) for name in wanted)


def _parser(*, add_help: bool = True) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benches", description=__doc__, add_help=add_help
    )
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


def _run(name: str, options: argparse.Namespace, own: dict[str, Any]) -> int:
    facts = report.machine()  # before the bench, whose own load is none of the machine's
    bench = load(name)
    try:
        results = bench.run(options.rounds, **own)
    except Exception:  # noqa: BLE001 - printed, and the other benches are still wanted
        traceback.print_exc()
        return 1
    if options.markdown:
        print(getattr(bench, "to_markdown", report.to_markdown)(facts, results))
    else:
        report.print_table(name, facts, results)
    if options.json:
        print(report.to_json(name, facts, results), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
