"""A line per event, for people or for machines."""

import json
import logging

import pytest

from engine.config import Settings
from engine.prepare import prepare
from engine.registry import Registry
from operators.catalog import declare_all
from remotemedia.cli.log_lines import logging_lines
from transports.rpc.sessions import SessionRegistry

logger = logging.getLogger("remotemedia.test")


def lines_of(capsys, *, as_json):
    lines = capsys.readouterr().err.splitlines()
    return [json.loads(line) for line in lines] if as_json else lines


def test_an_event_is_one_json_object_with_its_facts(capsys):
    with logging_lines(as_json=True, debug=False):
        logger.info("opened %s", "a\nb", extra={"session_id": "s", "sizes": [1, 2]})
        logger.debug("not_shown")
    (line,) = lines_of(capsys, as_json=True)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "remotemedia.test",
        "event": "opened a\nb",
        "session_id": "s",
        "sizes": [1, 2],
    }


def test_an_event_is_one_line_for_people(capsys):
    with logging_lines(as_json=False, debug=True):
        logger.debug("opened", extra={"node_id": "n", "reason": "two words", "none": ""})
    (line,) = lines_of(capsys, as_json=False)
    assert line.endswith('debug remotemedia.test opened node_id=n reason="two words" none=""')


def test_what_a_client_named_makes_no_line_of_its_own(capsys):
    with logging_lines(as_json=False, debug=False):
        logger.info("plan %s", "x\n2026 fake line", extra={"name_": "y\nz"})
    assert len(lines_of(capsys, as_json=False)) == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_an_exception_is_shown_with_its_traceback(capsys, as_json):
    with logging_lines(as_json=as_json, debug=False):
        try:
            raise ValueError("what went wrong\nand on another line")
        except ValueError:
            logger.exception("failed")
    lines = lines_of(capsys, as_json=as_json)
    said = lines[0]["traceback"] if as_json else "\n".join(lines)
    assert "ValueError: what went wrong" in said
    if not as_json:
        assert all(line.startswith("    ") for line in lines[1:])


async def test_a_call_that_has_opened_a_session_logs_with_its_id(capsys):
    registry = Registry()
    declare_all(registry)
    plan = prepare(
        {
            "version": "v1",
            "metadata": {"name": "x"},
            "nodes": [{"id": "a", "node_type": "PassThrough"}],
            "connections": [],
        },
        registry,
        Settings(),
    )
    sessions = SessionRegistry()
    with logging_lines(as_json=True, debug=False):
        logger.info("before")
        live = sessions.open(plan, "Test", "me")
        logger.info("during")
        logger.info("another", extra={"session_id": "other"})
        await sessions.end(live)
    found = {line["event"]: line.get("session_id") for line in lines_of(capsys, as_json=True)}
    assert found["before"] is None
    assert found["during"] == live.id
    assert found["another"] == "other"


def test_afterwards_the_log_is_as_it_was():
    root = logging.getLogger()
    before = list(root.handlers), root.level
    with logging_lines(as_json=True, debug=True):
        assert len(root.handlers) == len(before[0]) + 1
    assert (list(root.handlers), root.level) == before
