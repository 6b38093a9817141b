"""`remotemedia tap`, `inject`, `params set`, `interrupt`: hands on a session of a server.

Source: FR-012.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from remotemedia.cli.options import DebugOption
from remotemedia.cli.server_options import (
    NodeArgument,
    ServerOption,
    SessionArgument,
    TlsOption,
    TokenOption,
)
from remotemedia.cli.stdout import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.interruption import Settlement
    from engine.payloads import Payload
    from engine.steering import ParamsTaken
    from remotemedia.client import Client

#: What a tap's events do not say of a packet.
_UNTOLD: Final = ("port", "sequence", "index", "timestamp_ns")

params = typer.Typer(
    name="params", help="Params of nodes that run on a server.", no_args_is_help=True
)


def tap(
    session: SessionArgument,
    node: NodeArgument,
    server: ServerOption,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Stop after so many outputs.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per output.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Show what leaves a node, until the session ends or Ctrl-C; the node does not notice.

    Who reads too slowly misses some.
    """
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.packet_text import dump_json, one_line, packet_data
    from remotemedia.cli.server_options import call_server, place_of, session_named

    console = Console(debug=debug)

    async def listen(client: Client) -> None:
        node_id, port = place_of(node)
        async with client.attach(await session_named(client, session), "remotemedia tap") as hands:
            shown = await hands.tap(node_id, port)
            left = count
            async for packet in shown:
                if as_json:
                    facts = packet_data(packet)
                    known = {name: each for name, each in facts.items() if name not in _UNTOLD}
                    say(dump_json(known))
                else:
                    say(f"{packet.source.node}: {one_line(packet.payload)}")
                left = None if left is None else left - 1
                if left == 0:
                    return
            if hands.closed is not None:
                console.note(hands.closed.detail)

    try:
        with told(console):
            call_server(server, token, tls_ca, listen)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def inject(  # noqa: PLR0913, PLR0917 - typer makes its options of them
    session: SessionArgument,
    node: NodeArgument,
    server: ServerOption,
    text: Annotated[str | None, typer.Option("--text", help="Give it a text.")] = None,
    value: Annotated[
        str | None, typer.Option("--value", metavar="JSON", help="Give it a JSON value.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="Give it a file: sound in blocks of 20 ms, .txt and .jsonl line by line, others"
            " whole.",
        ),
    ] = None,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    debug: DebugOption = False,
) -> None:
    """Give a node packets beside those its inputs bring."""
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.server_options import call_server, place_of, session_named

    node_id, port = place_of(node)
    console = Console(debug=debug)

    async def give(client: Client) -> int:
        payloads = _payloads(node_id, text, value, file)
        sent = 0
        name = await session_named(client, session)
        async with client.attach(name, "remotemedia inject") as hands:
            for payload in payloads:
                await hands.publish(node_id, payload, port)
                sent += 1
        return sent

    with told(console):
        sent = call_server(server, token, tls_ca, give)
        console.note(f"{node}: {sent} {'packet' if sent == 1 else 'packets'}")


@params.command("set")
def set_params(
    session: SessionArgument,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node.")],
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE...", help="Params and their new values, JSON or plain text."
        ),
    ],
    server: ServerOption,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: DebugOption = False,
) -> None:
    """Change params of a node while it runs: all that are named, or none."""
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.packet_text import dump_json
    from remotemedia.cli.server_options import call_server, session_named

    async def change(client: Client) -> ParamsTaken:
        changes = dict(_assigned(item) for item in values)
        return await client.set_params(await session_named(client, session), node, changes)

    with told(Console(debug=debug)):
        taken = call_server(server, token, tls_ca, change)
        if as_json:
            say(dump_json(taken.to_dict()))
            return
        say(f"{node}: {dump_json(dict(taken.params))}")
        for edge, number in taken.edge_seq.items():
            say(f"  from packet {number} of {edge}")


def interrupt(
    session: SessionArgument,
    server: ServerOption,
    node: Annotated[
        str | None,
        typer.Argument(metavar="[NODE]", help="It and all behind it; by default all nodes."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the server's log.")] = "",
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: DebugOption = False,
) -> None:
    """Make stale what is under way: once this has ended, nothing of it comes out."""
    from dataclasses import asdict

    from remotemedia.cli.console import Console, told
    from remotemedia.cli.packet_text import dump_json
    from remotemedia.cli.server_options import call_server, session_named

    async def stop(client: Client) -> Settlement:
        name = await session_named(client, session)
        return await client.interrupt(name, node, reason=reason)

    with told(Console(debug=debug)):
        settlement = call_server(server, token, tls_ca, stop)
        if as_json:
            say(dump_json(asdict(settlement)))
        else:
            say("\n".join(_settlement_lines(settlement)))


def _payloads(
    node: str, text: str | None, value: str | None, file: Path | None
) -> Iterable[Payload]:
    from engine.errors import UsageError
    from engine.payloads import Json, Text
    from remotemedia.cli.inputs import FileInput

    if sum(each is not None for each in (text, value, file)) != 1:
        raise UsageError("say what to give it: one of --text, --value and --file")
    if text is not None:
        return [Text(text)]
    if file is not None:
        return FileInput(node, file).payloads()
    try:
        return [Json(json.loads(str(value)))]
    except ValueError as error:
        raise UsageError(f"--value is not JSON: {error}") from error


def _assigned(item: str) -> tuple[str, Any]:
    """Name and value of "name=value"; what is no JSON is a text."""
    from engine.errors import UsageError

    name, equals, text = item.partition("=")
    if not equals or not name:
        raise UsageError(f"{item!r}: a param is set as NAME=VALUE")
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


def _settlement_lines(settlement: Settlement) -> Iterable[str]:
    yield f"interrupted: generation {settlement.generation}"
    for place, count in settlement.dropped.items():
        yield f"  {place}: {count} dropped"
    for node, all_played in settlement.played.items():
        for played in all_played:
            heard = f"{played.played_ns / 1e9:.2f} of {played.of_ns / 1e9:.2f} s played"
            text = played.metadata.get("text", "")
            yield f"  {node}: {heard}{f': {text}' if text else ''}"
    for stage in settlement.late:
        yield f"  {stage}: has not answered; nothing stale of it comes out"
