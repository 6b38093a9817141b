"""`remotemedia run`: a manifest, fed from files. Source: FR-001, FR-006, FR-009, US1."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remotemedia.cli.options import (
    ConfigOption,
    DebugOption,
    ManifestArgument,
    OperatorsOption,
)
from remotemedia.cli.server_options import TlsOption, TokenOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.executors.contract import Progress
    from engine.plan import Plan
    from remotemedia.cli.console import Console
    from remotemedia.cli.runner import OpenSession
    from remotemedia.cli.stdout import ResultStream
    from remotemedia.cli.wrapped_input import WrappedInput
    from remotemedia.client import Client


def run(  # noqa: PLR0913, PLR0917 - typer makes its options of them
    context: typer.Context,
    manifest: ManifestArgument,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="[NODE=]FILE",
            help="Feed a file to an ingress node: sound (.wav, .flac, .ogg, .mp3) in blocks of"
            " 20 ms, .txt and .jsonl line by line, .json and others whole. Once per node. Without"
            " it, the input_data of the manifest's wrapper.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="[NODE=]FILE",
            help="Write what a node gives to a file: audio to .wav, text and JSON to .txt or"
            " .jsonl, bytes to others. The rest goes to standard output. Once per node.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object per output, and a summary as the last."),
    ] = False,
    config: ConfigOption = None,
    operators: OperatorsOption = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="HOST:PORT",
            help="Run it on this server; files are read and written here. Only this option does"
            " that, not REMOTEMEDIA_SERVER.",
        ),
    ] = None,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    debug: DebugOption = False,
) -> None:
    """Run a pipeline.

    Ctrl-C stops reading and finishes what is under way; a second one ends it at once.

    Exits with 0 when all is done, 1 if something went wrong, 2 if it was asked wrongly, 130 after a
    second Ctrl-C.
    """
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.exits import READER_GONE
    from remotemedia.cli.packet_text import dump_json
    from remotemedia.cli.server_options import client_for
    from remotemedia.cli.stdout import ReaderGoneError, ResultStream

    console = Console(debug=debug)
    try:
        with ResultStream() as results:

            def tell_json(data: dict[str, object]) -> None:
                results.write_nowait(f"{dump_json(data)}\n")

            with told(console, tell_json if as_json else None):
                request = _Request(manifest, inputs or [], outputs or [], config, operators or [])
                if server is None:
                    _check_local(context)
                    code = request.run(console, results, as_json=as_json)
                else:
                    request.make_client = partial(client_for, server, token, tls_ca)
                    code = request.run_remotely(console, results, as_json=as_json)
    except ReaderGoneError:
        code = READER_GONE
    raise typer.Exit(code)


def _check_local(context: typer.Context) -> None:
    """Refuse options that only a call of a server has; in the environment they are for others."""
    from engine.errors import UsageError

    for name, option in (("token", "--token"), ("tls_ca", "--tls-ca")):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{option} is for a server: name it by --server as well")


class _Request:
    """What was asked for.

    Attributes:
        make_client: makes the client of the server that is to run it.
    """

    make_client: Callable[[], Client]

    def __init__(
        self,
        manifest: Path,
        inputs: list[str],
        outputs: list[str],
        config: Path | None,
        operators: list[str],
    ) -> None:
        self._manifest = manifest
        self._inputs = inputs
        self._outputs = outputs
        self._config = config
        self._operators = operators

    def run(self, console: Console, results: ResultStream, *, as_json: bool) -> int:
        """Check all of it, then do it; gives the exit code."""
        from engine.config import load_settings
        from engine.manifest.document import load_document
        from engine.prepare import prepare
        from remotemedia.cli.operator_modules import registry_with

        settings = load_settings(self._config)
        registry = registry_with(self._operators, settings)
        document = load_document(self._manifest)
        plan = prepare(document.manifest, registry, settings)
        console.warn_of(plan.warnings)
        return self._do(plan, document.input_data, console, results, as_json=as_json)

    def run_remotely(self, console: Console, results: ResultStream, *, as_json: bool) -> int:
        """The same on a server: what only the server knows is checked there."""
        from engine.errors import UsageError
        from engine.manifest.document import load_document
        from engine.manifest.load import load_manifest
        from remotemedia import builtin_registry
        from remotemedia.cli.named_pipeline import named_in, shape_of_named, wire_of_named
        from remotemedia.cli.remote_session import RemoteSession, shape_of
        from remotemedia.client.manifests import wire_manifest

        if self._config is not None or self._operators:
            raise UsageError(
                "--config and --operators are the server's business: give them to `serve`"
            )
        document = load_document(self._manifest)
        name = named_in(document.manifest)
        if name is not None:
            plan = shape_of_named(name, self._inputs, self._outputs, document.input_data)
            wire = wire_of_named(name, document.manifest)
        else:
            manifest = load_manifest(document.manifest)
            plan = shape_of(manifest, builtin_registry())
            wire = wire_manifest(manifest)

        def open_session(tell: Callable[[Progress], object]) -> RemoteSession:
            return RemoteSession(self.make_client, wire, tell)

        return self._do(plan, document.input_data, console, results, open_session, as_json=as_json)

    def _do(
        self,
        plan: Plan,
        input_data: object,
        console: Console,
        results: ResultStream,
        open_session: OpenSession | None = None,
        *,
        as_json: bool,
    ) -> int:
        """Run a plan with the files that were named."""
        import asyncio

        from remotemedia.cli.inputs import assign_inputs
        from remotemedia.cli.outputs import OutputFiles
        from remotemedia.cli.runner import Runner

        files = assign_inputs(self._inputs, plan)
        sinks = OutputFiles(self._outputs, plan, files)
        inputs = files or self._wrapped(input_data, plan)
        if files and input_data is not None:
            console.note("the manifest's input_data is not used: --input feeds the pipeline")
        if not inputs:
            nodes = (node for stage in plan.stages for node in stage.nodes)
            unfed = [node.id for node in nodes if node.id in plan.ingress and node.inputs]
            if unfed:
                console.note(f"without --input, {', '.join(unfed)} gets nothing")
        runner = Runner(
            plan, inputs, sinks, console, results, as_json=as_json, open_session=open_session
        )
        return asyncio.run(runner.run())

    def _wrapped(self, input_data: object, plan: Plan) -> list[WrappedInput]:
        from remotemedia.cli.wrapped_input import wrapped_inputs

        return wrapped_inputs(input_data, plan) if input_data is not None else []
