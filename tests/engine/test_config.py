"""Settings from runtime.toml, the environment and a manifest."""

import logging
from dataclasses import FrozenInstanceError, replace

import pytest

from engine.config import (
    CHANNEL_CAPACITY_MAX,
    CONFIG_VARIABLE,
    SHM_SEGMENT_BYTES_MAX,
    Settings,
    load_settings,
)
from engine.errors import UsageError
from engine.pipeline import Pipeline

NESTED = """
[multiprocess]
enabled = false
max_processes_per_session = 4
channel_capacity = 50
init_timeout_secs = 60
cleanup_grace_period_secs = 2.5
enable_backpressure = false
shm_segment_size = 1048576
hang_timeout_secs = 12
max_processes_total = 40
max_session_memory_mb = 2048
max_sessions = 8
channel_capacity_max = 60
init_timeout_secs_max = 90
cleanup_grace_period_secs_max = 7
shm_segment_size_max = 2097152
hang_timeout_secs_max = 15

[multiprocess.python]
executable = "/opt/python/bin/python3"
venv_path = ".venv"
extra_paths = ["./nodes", "/abs"]
allowed = ["/opt/other/bin/python3"]
"""

FLAT = (
    NESTED.replace("[multiprocess]", "")
    .replace("[multiprocess.python]", "")
    .replace("executable", "python_executable")
)


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "runtime.toml"
        path.write_text(text)
        return path

    return write


def load(path):
    return load_settings(path, {})


class TestFile:
    @pytest.mark.parametrize("text", [NESTED, FLAT], ids=["nested", "flat"])
    def test_both_forms_are_read(self, file, tmp_path, text):
        assert load(file(text)) == Settings(
            enabled=False,
            max_processes_per_session=4,
            channel_capacity=50,
            init_timeout_s=60.0,
            cleanup_grace_s=2.5,
            enable_backpressure=False,
            shm_segment_bytes=1_048_576,
            python_executable="/opt/python/bin/python3",
            venv_path=str(tmp_path / ".venv"),
            extra_paths=(str(tmp_path / "nodes"), "/abs"),
            allowed=("/opt/other/bin/python3",),
            hang_timeout_s=12.0,
            max_processes_total=40,
            max_session_memory_mb=2048,
            max_sessions=8,
            channel_capacity_max=60,
            init_timeout_s_max=90.0,
            cleanup_grace_s_max=7.0,
            shm_segment_bytes_max=2_097_152,
            hang_timeout_s_max=15.0,
        )

    def test_a_partial_file_takes_defaults_for_the_rest(self, file):
        settings = load(file("[multiprocess]\nchannel_capacity = 7"))
        assert settings == Settings(channel_capacity=7)

    def test_an_empty_file_is_the_defaults(self, file):
        assert load(file("")) == Settings()

    def test_the_nested_form_counts_before_the_flat_one_with_a_warning(self, file, caplog):
        settings = load(file("channel_capacity = 7\n[multiprocess]\nchannel_capacity = 8"))
        assert settings.channel_capacity == 8
        (record,) = caplog.records
        assert "channel_capacity is ignored: multiprocess.channel_capacity" in record.getMessage()

    def test_an_interpreter_that_is_set_twice_is_a_warning(self, file, caplog):
        settings = load(file('python_executable = "a"\n[python]\nexecutable = "b"'))
        assert settings.python_executable == "b"
        assert "python_executable is ignored: python.executable is set too" in caplog.text

    def test_a_path_may_be_text(self, file):
        assert load(str(file("channel_capacity = 7"))).channel_capacity == 7

    def test_an_extra_path_that_is_not_there_is_a_warning(self, file, tmp_path, caplog):
        settings = load(file('[python]\nextra_paths = [".", "gone"]'))
        assert settings.extra_paths == (str(tmp_path), str(tmp_path / "gone"))
        (record,) = caplog.records
        assert (
            f"python.extra_paths has {tmp_path / 'gone'}, which is not there" in record.getMessage()
        )

    @pytest.mark.parametrize(
        ("key", "name", "cap"),
        [
            ("channel_capacity_max", "channel_capacity", 3),
            ("init_timeout_secs_max", "init_timeout_s", 2.5),
            ("cleanup_grace_period_secs_max", "cleanup_grace_s", 1),
            ("shm_segment_size_max", "shm_segment_bytes", 65_536),
            ("hangTimeoutSecsMax", "hang_timeout_s", 4),
        ],
    )
    def test_a_cap_lowers_the_default_and_what_a_manifest_asks_for(
        self, file, caplog, key, name, cap
    ):
        settings = load(file(f"{key} = {cap}"))
        assert getattr(settings, name) == getattr(settings, f"{name}_max") == cap
        assert not caplog.records  # nobody asked for the default
        asked = key.removesuffix("_max").removesuffix("Max")
        session, (problem,) = settings.for_session({asked: 100_000})
        assert session == settings
        assert problem.severity == "warning"
        session, (problem,) = settings.for_session({key: cap * 2})
        assert session == settings
        assert "only the service's configuration" in problem.message

    def test_a_value_above_the_files_own_cap_is_lowered_with_a_warning(self, file, caplog):
        settings = load(file("init_timeout_secs = 60\ninit_timeout_secs_max = 20"))
        assert settings.init_timeout_s == 20
        assert (
            "init_timeout_secs is 60.0, above init_timeout_secs_max and is lowered to 20.0"
            in caplog.text
        )

    def test_the_python_table_may_stand_at_top_level(self, file):
        assert load(file('[python]\nexecutable = "py"')).python_executable == "py"

    @pytest.mark.parametrize(
        ("text", "place"),
        [("a = 1\nb = [\n", "line 3, column 1"), ('a = "', "line 1, column 6")],
    )
    def test_toml_that_is_cut_short_names_the_place_where_it_ends(self, file, text, place):
        path = file(text)
        with pytest.raises(UsageError, match=place):
            load(path)

    def test_invalid_toml_names_file_line_and_column(self, file):
        path = file("enabled = true\nchannel_capacity = = 3\n")
        with pytest.raises(UsageError, match=r"runtime\.toml.*line 2, column 20"):
            load(path)

    def test_bytes_that_are_no_text_are_refused(self, file):
        path = file("")
        path.write_bytes(b"\xff\xfe")
        with pytest.raises(UsageError, match="not UTF-8"):
            load(path)

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("channel_capacity = 20000", "a whole number from 1 to 10000, got 20000"),
            ("channel_capacity = 0", "a whole number from 1 to 10000, got 0"),
            ('channel_capacity = "100"', 'a whole number from 1 to 10000, got "100"'),
            ("channel_capacity = true", "a whole number from 1 to 10000, got true"),
            ("init_timeout_secs = 301", "a number above 0 and at most 300, got 301"),
            ("init_timeout_secs = nan", "a number above 0 and at most 300, got NaN"),
            ("hang_timeout_secs = 0", "a number above 0 and at most 3600, got 0"),
            ("shm_segment_size = 5368709120", "from 65536 to 4294967296, got 5368709120"),
            ('enabled = "yes"', 'true or false, got "yes"'),
            ("max_sessions = 0", "a whole number from 1, got 0"),
            ("channel_capacity_max = 10001", "a whole number from 1 to 10000, got 10001"),
            ("init_timeout_secs_max = 0", "a number above 0 and at most 300, got 0"),
            ('extra_paths = "nodes"', 'a list of strings, got "nodes"'),
            ('python_executable = ""', 'a string that is not empty, got ""'),
            ("python = 3", "must be an object, got 3"),
        ],
    )
    def test_a_wrong_value_names_key_value_and_bounds(self, file, line, sentence):
        with pytest.raises(UsageError) as caught:
            load(file(line))
        key = line.partition(" ")[0]
        assert key in caught.value.message
        assert sentence in caught.value.message

    def test_all_wrong_values_are_told_at_once_each_with_its_table(self, file):
        with pytest.raises(UsageError) as caught:
            load(file("[multiprocess]\nchannel_capacity = 0\n[multiprocess.python]\nallowed = 1"))
        assert "multiprocess.channel_capacity must be" in caught.value.message
        assert "multiprocess.python.allowed must be" in caught.value.message

    def test_an_unknown_key_is_a_warning_that_names_the_nearest(self, file, caplog):
        with caplog.at_level(logging.WARNING):
            settings = load(file("[multiprocess]\nchanel_capacity = 3\n"))
        assert settings == Settings()
        assert "'multiprocess.chanel_capacity'" in caplog.text
        assert "did you mean 'channel_capacity'" in caplog.text


class TestWhichFile:
    def test_a_named_file_must_exist(self, tmp_path):
        with pytest.raises(UsageError, match=r"no configuration file .*none\.toml"):
            load(tmp_path / "none.toml")

    def test_a_folder_is_no_file(self, tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            load(tmp_path)

    def test_the_environment_names_a_file(self, file, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        path = file("channel_capacity = 3").rename(tmp_path / "other.toml")
        assert load_settings(environ={CONFIG_VARIABLE: str(path)}).channel_capacity == 3

    def test_a_file_the_environment_names_must_exist(self, tmp_path):
        with pytest.raises(UsageError, match="no configuration file"):
            load_settings(environ={CONFIG_VARIABLE: str(tmp_path / "none.toml")})

    def test_an_argument_counts_before_the_environment(self, file):
        path = file("channel_capacity = 3")
        settings = load_settings(path, {CONFIG_VARIABLE: "/nowhere/runtime.toml"})
        assert settings.channel_capacity == 3

    def test_the_working_directory_is_looked_in(self, file, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        file("channel_capacity = 3")
        assert load_settings(environ={}).channel_capacity == 3
        assert load_settings(environ={CONFIG_VARIABLE: ""}).channel_capacity == 3

    def test_without_any_file_there_are_defaults(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert load_settings(environ={}) == Settings()


class TestSession:
    def test_nothing_asked_for_changes_nothing(self):
        settings = Settings()
        assert settings.for_session({}) == (settings, ())

    def test_a_manifest_counts_before_the_file(self):
        settings = Settings(channel_capacity=50, init_timeout_s=10)
        session, problems = settings.for_session(
            {"channel_capacity": 500, "max_processes_per_session": 20, "hangTimeoutSecs": 3}
        )
        assert problems == ()
        assert session == replace(
            settings, channel_capacity=500, max_processes_per_session=20, hang_timeout_s=3
        )

    def test_null_is_up_to_the_global_cap(self):
        session, problems = Settings().for_session({"maxProcessesPerSession": None})
        assert problems == ()
        assert session.process_limit == session.max_processes_total == 100

    @pytest.mark.parametrize(
        ("key", "asked", "name", "limit"),
        [
            ("channel_capacity", 50_000, "channel_capacity", CHANNEL_CAPACITY_MAX),
            ("initTimeoutSecs", 301, "init_timeout_s", 300),
            ("shm_segment_size", 2**40, "shm_segment_bytes", SHM_SEGMENT_BYTES_MAX),
            ("max_processes_per_session", 101, "max_processes_per_session", 100),
            ("max_processes_per_session", 10**9, "max_processes_per_session", 100),
            ("cleanup_grace_period_secs", 10**6, "cleanup_grace_s", 60),
        ],
    )
    def test_what_is_above_a_cap_is_lowered_to_it_with_one_warning(self, key, asked, name, limit):
        session, problems = Settings().for_session({key: asked})
        assert getattr(session, name) == limit
        (problem,) = problems
        assert (problem.severity, problem.path) == ("warning", f"metadata.multiprocess.{key}")
        assert str(asked) in problem.message
        assert str(limit) in problem.message

    def test_a_service_may_have_tighter_caps(self):
        session, problems = Settings(channel_capacity_max=10).for_session({"channel_capacity": 11})
        assert session.channel_capacity == 10
        assert len(problems) == 1

    @pytest.mark.parametrize(
        "overrides",
        [
            {"max_processes_total": 1000},
            {"maxSessions": 1000},
            {"max_session_memory_mb": 1},
            {"extra_paths": ["/tmp"]},
            {"python": {"allowed": ["/bin/sh"]}},
            {"enabled": True},
        ],
    )
    def test_what_only_the_service_may_set_is_ignored_with_a_warning(self, overrides):
        settings = Settings(enabled=False)
        session, problems = settings.for_session(overrides)
        assert session == settings
        assert [problem.severity for problem in problems] == ["warning"]

    def test_a_manifest_may_do_without_processes(self):
        session, problems = Settings().for_session({"enabled": False})
        assert problems == ()
        assert not session.enabled

    @pytest.mark.parametrize("nested", [False, True])
    def test_interpreters_are_those_the_service_allows(self, nested):
        def ask(path):
            form = {"python": {"executable": path}} if nested else {"python_executable": path}
            return settings.for_session(form)

        settings = Settings(python_executable="/opt/a/python", allowed=("/opt/b/python",))
        assert ask("python") == ask("python3") == ask("/opt/a/python") == (settings, ())
        session, problems = ask("/opt/b/python")
        assert problems == ()
        assert session.python_executable == "/opt/b/python"
        session, problems = ask("/bin/sh")
        assert session == settings
        assert [problem.severity for problem in problems] == ["error"]
        assert "/opt/b/python" in problems[0].message

    @pytest.mark.parametrize("nested", [False, True])
    def test_virtual_environments_are_those_the_service_allows(self, nested):
        def ask(path):
            form = {"python": {"venv_path": path}} if nested else {"venvPath": path}
            return settings.for_session(form)

        settings = Settings(venv_path="/srv/a", allowed=("/srv/b", "/opt/python"))
        assert ask("/srv/a") == ask(None) == (settings, ())
        session, problems = ask("/srv/b")
        assert (session.venv_path, problems) == ("/srv/b", ())
        session, problems = ask("/srv/c")
        assert session == settings
        assert [problem.severity for problem in problems] == ["error"]
        assert "it allows /srv/b, /opt/python" in problems[0].message

    def test_without_any_allowed_there_is_no_choice(self):
        _, (problem,) = Settings().for_session({"venv_path": "/srv/c"})
        assert 'the virtual environment "/srv/c"; it allows none' in problem.message

    def test_a_chosen_interpreter_is_not_that_of_the_services_environment(self):
        settings = Settings(venv_path="/srv/a", allowed=("/opt/python", "/srv/b"))
        session, _ = settings.for_session({"python_executable": "/opt/python"})
        assert (session.python_executable, session.venv_path) == ("/opt/python", None)
        session, _ = settings.for_session(
            {"python_executable": "/opt/python", "venvPath": "/srv/b"}
        )
        assert session.venv_path == "/srv/b"
        assert settings.for_session({"python_executable": "python"}) == (settings, ())

    @pytest.mark.parametrize("key", ["python_executable", "venv_path"])
    def test_nothing_that_only_leads_to_what_is_allowed_is_allowed(
        self, key, tmp_path, monkeypatch
    ):
        real = tmp_path / "real"
        (real / "bin").mkdir(parents=True)
        (real / "bin" / "python").touch()
        allowed = real if key == "venv_path" else real / "bin" / "python"
        link = tmp_path / "link"
        link.symlink_to(allowed)
        monkeypatch.chdir(real)
        settings = Settings(allowed=(str(allowed),))
        assert not settings.for_session({key: str(allowed)})[1]
        for trick in (
            link,
            allowed.relative_to(tmp_path),
            allowed.relative_to(real),
            f"{allowed.parent}/../{allowed.parent.name}/{allowed.name}",
            f"{allowed}/.",
            f"{allowed}/",
            f" {allowed}",
            f"{allowed}\0",
            f"file://{allowed}",
            real / "bin",
        ):
            session, problems = settings.for_session({key: str(trick)})
            assert [problem.severity for problem in problems] == ["error"], trick
            assert session == settings

    def test_interpreters_of_the_file_count_from_its_directory(self, file, tmp_path):
        settings = load(
            file('[python]\nexecutable = "./py"\nallowed = ["v/b", "/a", "python3.12"]\n')
        )
        assert settings.python_executable == str(tmp_path / "py")
        assert settings.allowed == (str(tmp_path / "v" / "b"), "/a", "python3.12")

    def test_every_wrong_value_is_an_error_and_hides_nothing(self):
        session, problems = Settings().for_session(
            {
                "channel_capacity": "many",
                "init_timeout_secs": -1,
                "enabled": 3,
                "chanel": 1,
                "python": {"executable": 3},
                "shm_segment_size": 1_000_000,
            }
        )
        assert session == Settings(shm_segment_bytes=1_000_000)
        told = {
            problem.path.removeprefix("metadata.multiprocess."): problem for problem in problems
        }
        assert {path: problem.severity for path, problem in told.items()} == {
            "channel_capacity": "error",
            "init_timeout_secs": "error",
            "enabled": "error",
            "python.executable": "error",
            "chanel": "warning",
        }
        assert "from 1 to 10000" in told["channel_capacity"].message


def test_the_limit_of_processes_never_exceeds_the_global_cap():
    assert Settings(max_processes_per_session=8).process_limit == 8
    assert Settings(max_processes_per_session=8, max_processes_total=3).process_limit == 3
    assert Settings(max_processes_per_session=None).process_limit == 100


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("channel_capacity", "a", 'a whole number from 1 to 10000, got "a"'),
        ("channel_capacity", 2.0, "a whole number from 1 to 10000, got 2.0"),
        ("max_session_memory_mb", "a", 'a whole number from 1, got "a"'),
        ("shm_segment_bytes", 5, "a whole number from 65536 to 4294967296, got 5"),
        ("channel_capacity_max", 0, "a whole number from 1 to 10000, got 0"),
        ("hang_timeout_s", 0, "a number above 0 and at most 3600, got 0"),
        ("cleanup_grace_s", -1, "a number above 0 and at most 60, got -1"),
        ("init_timeout_s", True, "a number above 0 and at most 300, got true"),
        ("init_timeout_s", None, "a number above 0 and at most 300, got null"),
        ("enabled", "yes", 'true or false, got "yes"'),
        ("python_executable", "", 'a string that is not empty, got ""'),
        ("extra_paths", "nodes", 'a list of strings, got "nodes"'),
    ],
)
def test_python_settings_are_checked_as_the_files_are(name, value, sentence):
    with pytest.raises(UsageError) as caught:
        Settings(**{name: value})
    assert f"{name} must be {sentence}" in caught.value.message
    with pytest.raises(UsageError, match=name):
        replace(Settings(), **{name: value})


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(UsageError, match=r"init_timeout_s must .*; extra_paths\[0\] must"):
        Settings(init_timeout_s=0, extra_paths=(3,))


def test_lists_become_tuples_and_whole_seconds_numbers_of_seconds():
    settings = Settings(extra_paths=["/a"], init_timeout_s=2)
    assert settings.extra_paths == ("/a",)
    assert type(settings.init_timeout_s) is float


def test_a_pipeline_takes_settings_and_nothing_else():
    with pytest.raises(UsageError, match=r"Settings\(…\) or load_settings\(path\), not {"):
        Pipeline("x", settings={"channel_capacity": 3})


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        Settings().enabled = False
