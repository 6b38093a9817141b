"""`remotemedia serve`: a gRPC service until it is told to stop. Source: FR-008, FR-012."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from remotemedia.cli.options import ConfigOption, OperatorsOption


def serve(  # noqa: PLR0913, PLR0917 - typer makes its options of them
    grpc: Annotated[
        list[str] | None,
        typer.Option(
            "--grpc",
            metavar="HOST:PORT",
            help="Serve gRPC here; port 0: any that is free. May be given several times. By default"
            " what GRPC_BIND_ADDRESS says, or [::]:50051, which is IPv4 as well.",
        ),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(
            "--http",
            metavar="[HOST:]PORT",
            help="Serve /metrics and /healthz here; without a host on 127.0.0.1.",
        ),
    ] = None,
    pipelines: Annotated[
        list[str] | None,
        typer.Option(
            "--pipeline",
            metavar="NAME=MANIFEST",
            help="A pipeline of the service's own: clients run it by a manifest that has this name"
            " and no nodes. May be given several times.",
        ),
    ] = None,
    no_process: Annotated[
        bool, typer.Option("--no-process", help="Run all nodes on the service's own loop.")
    ] = False,
    tls_cert: Annotated[
        str | None,
        typer.Option("--tls-cert", metavar="FILE", help="The certificate chain, PEM."),
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option("--tls-key", metavar="FILE", help="Its private key, PEM.")
    ] = None,
    client_ca: Annotated[
        str | None,
        typer.Option(
            "--client-ca",
            metavar="FILE",
            help="Let in only clients whose certificate is signed by this one, PEM.",
        ),
    ] = None,
    drain_s: Annotated[
        float | None,
        typer.Option(
            "--drain",
            metavar="SECONDS",
            min=0,
            help="How long open sessions may go on once it is told to stop; 30 by default.",
        ),
    ] = None,
    config: ConfigOption = None,
    operators: OperatorsOption = None,
    log_format: Annotated[
        Literal["text", "json"],
        typer.Option("--log-format", help="Lines for people, or one JSON object per line."),
    ] = "text",
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Log everything, and send clients tracebacks of the service's own."
        ),
    ] = False,
) -> None:
    """Serve pipelines over gRPC.

    Prints where it listens, then "ready". SIGTERM or Ctrl-C lets in no new session and waits for
    the open ones; a second one ends them at once.

    Exits with 0 when it was told to stop and has, 1 if something went wrong (a port that is taken),
    2 if it was asked wrongly, 143 or 130 after a second signal.
    """
    import asyncio

    from remotemedia.cli.console import Console
    from remotemedia.cli.exits import exit_code_of
    from remotemedia.cli.log_lines import logging_lines

    console = Console(debug=debug)
    with logging_lines(as_json=log_format == "json", debug=debug):
        try:
            from engine.loops import new_event_loop
            from remotemedia.cli.serving import Serving
            from remotemedia.cli.serving_choices import Flags

            flags = Flags(
                grpc=tuple(grpc or ()),
                http=http,
                tls_cert=tls_cert,
                tls_key=tls_key,
                client_ca=client_ca,
                drain_s=drain_s,
            )
            serving = Serving.prepare(
                flags, config, operators or [], pipelines or [], processes=not no_process
            )
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                code = runner.run(serving.run(debug=debug))
        except Exception as error:  # noqa: BLE001 - the last one to hear of it; nothing is lost
            console.error(error)
            raise typer.Exit(exit_code_of(error)) from None
    raise typer.Exit(code)
