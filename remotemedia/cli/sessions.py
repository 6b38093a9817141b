"""`remotemedia sessions list|show|close`: what a server runs. Source: FR-008, FR-009."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from remotemedia.cli.options import DebugOption
from remotemedia.cli.server_options import ServerOption, SessionArgument, TlsOption, TokenOption
from remotemedia.cli.stdout import say, say_rich

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from google.protobuf.message import Message
    from rich.table import Table

    from protos.remotemedia.v1 import admin_pb2
    from remotemedia.client import Client

#: From here on hops are told in milliseconds.
_LONG_US = 10_000

sessions = typer.Typer(
    name="sessions", help="See and end the sessions of a server.", no_args_is_help=True
)

_JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@sessions.command("list")
def list_sessions(
    server: ServerOption,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    as_json: _JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the sessions that are open, the oldest first."""
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.packet_text import dump_json
    from remotemedia.cli.server_options import call_server

    with told(Console(debug=debug)):
        found = call_server(server, token, tls_ca, lambda client: client.sessions())
        if as_json:
            say(dump_json({"sessions": [_as_data(each) for each in found]}))
        else:
            say_rich(_list_table(found) if found else "no session is open")


@sessions.command()
def show(
    session: SessionArgument,
    server: ServerOption,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    as_json: _JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show a session: its nodes, where they run, its edges and what waits on them."""
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.packet_text import dump_json
    from remotemedia.cli.server_options import call_server, session_named

    async def ask(client: Client) -> admin_pb2.GetSessionResponse:
        return await client.session(await session_named(client, session))

    with told(Console(debug=debug)):
        found = call_server(server, token, tls_ca, ask)
        if as_json:
            say(dump_json(_as_data(found)))
        else:
            say_rich(_list_table([found.summary]), _node_table(found), _edge_table(found))


@sessions.command()
def close(
    session: SessionArgument,
    server: ServerOption,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="Let what is under way come out first.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """End a session; by default at once."""
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.server_options import call_server, session_named

    async def ask(client: Client) -> str:
        found = await session_named(client, session)
        await client.close_session(found, drain=drain)
        return found

    console = Console(debug=debug)
    with told(console):
        found = call_server(server, token, tls_ca, ask)
        console.note(f"{found}: {'drains' if drain else 'ends'}")


def _as_data(message: Message) -> dict[str, Any]:
    """A message as JSON; 64-bit numbers as numbers, which they all fit."""
    from google.protobuf.json_format import MessageToDict

    data: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _numbers(message, data)


def _numbers(message: Message, data: dict[str, Any]) -> dict[str, Any]:
    for field in message.DESCRIPTOR.fields:
        value = data.get(field.name)
        if field.cpp_type in {field.CPPTYPE_UINT64, field.CPPTYPE_INT64} and value is not None:
            data[field.name] = int(value)
        elif field.message_type is not None and isinstance(value, list):
            members = getattr(message, field.name)
            data[field.name] = [
                _numbers(member, item) for member, item in zip(members, value, strict=True)
            ]
        elif field.message_type is not None and isinstance(value, dict):
            data[field.name] = _numbers(getattr(message, field.name), value)
    return data


# --- as text ----------------------------------------------------------------------------------


def _table(*columns: str) -> Table:
    """A table whose columns are right-aligned where their names end in "#"."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        name = column.rstrip("#")
        table.add_column(name, justify="left" if name == column else "right", no_wrap=True)
    return table


def _list_table(found: Sequence[admin_pb2.SessionSummary]) -> Table:
    table = _table(
        "session", "pipeline", "phase", "call", "since", "nodes#", "processes#", "outputs#"
    )
    for each in found:
        opened = dt.datetime.fromtimestamp(each.opened_ms / 1e3).astimezone()
        table.add_row(
            each.session_id,
            each.pipeline,
            each.phase,
            f"{each.method} of {each.peer}",
            opened.strftime("%H:%M:%S"),
            str(each.nodes),
            str(each.processes),
            str(each.outputs),
        )
    return table


def _node_table(found: admin_pb2.GetSessionResponse) -> Table:
    table = _table("node", "type", "where", "ports", "received#", "emitted#", "busy#")
    for node in found.nodes:
        where = f"process {node.pid}" if node.executor == "process" else "the server"
        table.add_row(
            node.node_id,
            node.node_type,
            where if node.pid else "no process",
            f"{', '.join(node.inputs)} → {', '.join(node.outputs)}",
            str(node.received),
            str(node.emitted),
            f"{node.busy_ms:.1f} ms",
        )
    return table


def _edge_table(found: admin_pb2.GetSessionResponse) -> Table:
    table = _table("edge", "sent#", "queued#", "in flight#", "credits#", "dropped#", "p50#", "p99#")
    for edge in found.edges:
        table.add_row(
            edge.edge_id,
            *map(str, (edge.sent, edge.queued, edge.in_flight)),
            f"{edge.credits} of {edge.capacity}",
            str(edge.dropped),
            *map(_hop, (edge.hop_p50_us, edge.hop_p99_us)),
        )
    return table


def _hop(time_us: float) -> str:
    """How long a hop took; nothing where none was timed."""
    if time_us >= _LONG_US:
        return f"{time_us / 1e3:.0f} ms"
    return f"{time_us:.0f} µs" if time_us else ""
