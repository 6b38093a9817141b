"""[service] of runtime.toml: what a service reads, and nobody else."""

import logging

import pytest

from engine.config import Settings, load_service, load_settings
from engine.errors import UsageError
from engine.service_table import ServiceTable


def write(folder, text):
    path = folder / "runtime.toml"
    path.write_text(text)
    return path


def test_without_a_file_or_a_table_there_are_the_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_service(environ={}) == ServiceTable()
    assert load_service(write(tmp_path, "channel_capacity = 7\n")) == ServiceTable()


def test_values_are_read_in_either_spelling(tmp_path):
    table = load_service(write(tmp_path, "[service]\ngrpc = ['[::1]:1']\ncallsPerClient = 3\n"))
    assert table.grpc == ("[::1]:1",)
    assert table.calls_per_client == 3
    assert table.http is None


def test_paths_count_from_the_file(tmp_path):
    table = load_service(
        write(tmp_path, "[service]\ntls_cert = 'c.pem'\nallowed_files = ['media', '/srv']\n")
    )
    assert table.tls_cert == str(tmp_path / "c.pem")
    assert table.allowed_files == (str(tmp_path / "media"), "/srv")
    assert table.tls_key is None


def test_it_changes_nothing_for_the_engine(tmp_path, caplog):
    path = write(tmp_path, "[service]\nmax_timeout_secs = 1.0\n[multiprocess]\nenabled = false\n")
    with caplog.at_level(logging.WARNING):
        assert load_settings(path) == Settings(enabled=False)
    assert caplog.records == []


def test_unknown_keys_are_told_by_their_path(tmp_path, caplog):
    path = write(tmp_path, "[service]\ndrain_sec = 1.0\n")
    with caplog.at_level(logging.WARNING):
        load_settings(path)
    (record,) = caplog.records
    assert "service.drain_sec" in record.getMessage()
    assert "drain_secs" in record.getMessage()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("max_message_mb = 0", r"service\.max_message_mb must be a whole number from 1 to 1024"),
        ("max_timeout_secs = -1.0", r"service\.max_timeout_secs must be a number above 0"),
        ("grpc = 'x:1'", r"service\.grpc must be a list"),
        ("messages_per_sec = inf", r"service\.messages_per_sec"),
    ],
)
@pytest.mark.parametrize("load", [load_settings, load_service])
def test_wrong_values_are_told(tmp_path, line, words, load):
    with pytest.raises(UsageError, match=words):
        load(write(tmp_path, f"[service]\n{line}\n"))


def test_a_manifest_cannot_change_it():
    settings, problems = Settings().for_session({"service": {"allowed_files": ["/"]}})
    assert settings == Settings()
    assert [problem.severity for problem in problems] == ["warning"]
