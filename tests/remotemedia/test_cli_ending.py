"""The command ends although threads of a node do not."""

import pytest

pytestmark = pytest.mark.process

NODES = """
import threading

from remotemedia.core.node import Node


class LeftBehindNode(Node):
    def initialize(self):
        threading.Thread(target=threading.Event().wait, name="left-behind").start()

    def process(self, data):
        return data
"""


def test_a_thread_that_a_local_node_left_behind_is_named_and_not_waited_for(place):
    module = place.write("left_behind_nodes.py", NODES)
    numbers = place.write("numbers.jsonl", "1\n2\n")
    path = place.chain("a:LeftBehindNode@local")
    done = place.run("run", path, "--operators", module, "--input", numbers, "--json")
    assert done.returncode == 0
    assert done.stdout.count('"value"') == 2
    assert "(left-behind)" in done.stderr
    assert 'executor "process"' in done.stderr
