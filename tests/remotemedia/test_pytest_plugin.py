"""The fixtures a user gets by installing remotemedia: her own tests, run by her own pytest."""

import subprocess
import sys
import textwrap

import pytest

#: pytest of the same environment, without this project's settings.
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", "."]

UPPER = """
import asyncio, os, threading
import pytest
from engine.testing import HangError, Script
from remotemedia import Operator, Pipeline, Text

class Upper(Operator):
    async def initialize(self, ctx):
        self.change = str.upper
    def process(self, packet, ctx):
        return Text(self.change(packet.payload.text))
    async def cleanup(self):
        self.change = None
        print("cleaned up")

class Slow(Upper):
    async def process(self, packet, ctx):
        await asyncio.sleep(60)
        return packet
"""


@pytest.fixture
def user(tmp_path):
    """Runs a test file of a user's, in a folder of her own."""

    def run(source, *arguments, preamble=UPPER):
        (tmp_path / "test_mine.py").write_text(preamble + textwrap.dedent(source))
        done = subprocess.run(
            [*PYTEST, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    run.folder = tmp_path
    return run


def test_the_fixtures_are_there_and_documented(user):
    _, output = user("", "--fixtures")
    for line in (
        "virtual_time -- ",
        "A clock that a test moves: `.run(coroutine)`",
        "stage_bench -- ",
        "Makes benches: `stage_bench(Gain(gain_db=3))`",
        "no_leaks -- ",
        "Fails a test that leaves a process, thread, descriptor",
    ):
        assert line in output


def test_a_users_tests_run_on_virtual_time(user):
    code, output = user(
        """
        def test_a_pipeline(virtual_time, no_leaks):
            pipeline = Pipeline("p") | Upper() | Slow()
            recording = virtual_time.play(pipeline, Script.marbles("a-|"))
            recording.expect([(60, "A")])
            assert virtual_time.now_s == 60

        def test_step_by_step(virtual_time):
            task = virtual_time.start(asyncio.sleep(5, "done"))
            virtual_time.advance(5)
            assert task.result() == "done"

        def test_an_operator(stage_bench, no_leaks):
            bench = stage_bench(Upper())
            bench.feed(Text("x"))
            bench.run()
            assert bench.values == ["X"]

        def test_a_chain(stage_bench):
            bench = stage_bench({"a": Upper(), "b": Upper()}, capacity=1)
            bench.play(Script.marbles("a-b|")).expect("A-B|")

        def test_a_hang(virtual_time):
            with pytest.raises(HangError, match="in wait_for_ever"):
                async def wait_for_ever():
                    await asyncio.Event().wait()
                virtual_time.run(wait_for_ever())
        """,
        "-rP",
    )
    assert code == 0, output
    assert "5 passed" in output
    assert output.count("cleaned up") == 5


def test_a_leak_fails_the_test_that_asked(user):
    code, output = user(
        """
        go_on = threading.Event()

        def test_leaky(no_leaks):
            threading.Thread(target=go_on.wait, name="left-over", daemon=True).start()

        def test_the_same_unasked():
            threading.Thread(target=go_on.wait, name="left-over", daemon=True).start()
        """
    )
    assert code == 1
    assert "this was left behind:" in output
    assert "- thread left-over" in output
    assert "2 passed, 1 error" in output


@pytest.mark.process
def test_a_pipeline_in_processes_leaves_nothing(user):
    (user.folder / "shout.py").write_text(UPPER)
    code, output = user(
        """
        from shout import Upper

        def test_workers(no_leaks):
            pipeline = Pipeline("p") | Upper().on("process")
            assert [packet.payload.text for packet in pipeline.run([Text("x")])] == ["X"]

        def test_refused(virtual_time):
            with pytest.raises(Exception, match="on virtual time every node runs local"):
                virtual_time.play(Pipeline("p") | Upper().on("process"), Script.marbles("|"))
        """
    )
    assert code == 0, output


def test_who_does_not_use_it_does_not_pay_for_it(user):
    code, output = user(
        """
        import sys

        def test_nothing_of_ours_is_loaded():
            loaded = {name.partition(".")[0] for name in sys.modules}
            ours = {"remotemedia", "engine", "operators", "numpy", "pyarrow", "reactivex"}
            assert not loaded & ours
        """,
        preamble="",
    )
    assert code == 0, output


def test_a_users_own_folder_of_the_same_name_is_hers(user):
    folder = user.folder / "engine"
    folder.mkdir()
    (folder / "__init__.py").write_text("MINE = True\n")
    source = """
        def test_it_is_hers():
            import engine
            assert engine.MINE

        def test_and_that_is_said_where_ours_is_wanted(virtual_time):
            pass
        """
    code, output = user(source, preamble="")
    assert code == 1
    assert "1 passed, 1 error" in output
    assert "shadows remotemedia's own package 'engine': rename it" in output


def test_normal_use_does_not_load_pytest():
    program = "import sys, remotemedia, engine.testing; print('pytest' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
