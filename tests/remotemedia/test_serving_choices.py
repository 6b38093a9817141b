"""The command line before the environment before runtime.toml, and what is odd about the result."""

import tomllib

import pytest

from engine.errors import UsageError
from engine.service_table import ServiceTable
from remotemedia.cli.serving_choices import Choices, Flags
from tests.doc_blocks import ROOT, Page


def choose(flags=None, table=None, **environ):
    return Choices.of(Flags(**(flags or {})), ServiceTable(**(table or {})), environ)


def test_by_default_it_serves_existing_clients():
    choices = choose()
    assert choices.grpc == ("[::]:50051",)
    assert choices.http is None
    assert choices.tls is None
    assert choices.tokens is None
    assert choices.quotas.unlimited
    assert (choices.access.files, choices.access.hosts, choices.access.imports) == ((), (), ())
    assert choices.limits.message_bytes_max == 10 << 20
    assert choices.limits.timeout_s == 30
    assert choices.limits.memory_mb is None
    assert choices.drain_s == 30


def test_the_command_line_counts_before_the_environment_and_that_before_the_file():
    table = {"grpc": ("127.0.0.1:3",), "http": "9093", "drain_secs": 3.0}
    assert choose(None, table).grpc == ("127.0.0.1:3",)
    bound = {"GRPC_BIND_ADDRESS": "127.0.0.1:2, [::1]:2"}
    assert choose(None, table, **bound).grpc == ("127.0.0.1:2", "[::1]:2")
    flags = {"grpc": ("127.0.0.1:1",), "http": "9091", "drain_s": 1.0}
    chosen = choose(flags, table, **bound)
    assert chosen.grpc == ("127.0.0.1:1",)
    assert chosen.http == "127.0.0.1:9091"
    assert chosen.drain_s == 1
    assert choose(None, table).http == "127.0.0.1:9093"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9090", "127.0.0.1:9090"),
        (":9090", "127.0.0.1:9090"),
        ("0.0.0.0:9090", "0.0.0.0:9090"),
        ("[::1]:0", "[::1]:0"),
    ],
)
def test_metrics_are_for_this_machine_unless_a_host_is_named(text, address):
    assert choose({"http": text}).http == address


def test_limits_come_from_the_environment_deployments_set():
    limits = choose(GRPC_MAX_MEMORY_MB="512", GRPC_MAX_TIMEOUT_SEC="7.5").limits
    assert limits.memory_mb == 512
    assert limits.timeout_s == 7.5
    table = {"max_memory_mb": 64, "max_timeout_secs": 3.0, "max_message_mb": 2}
    limits = choose(None, table).limits
    assert (limits.memory_mb, limits.timeout_s, limits.message_bytes_max) == (64, 3, 2 << 20)


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"GRPC_AUTH_TOKENS": ""}, False),
        ({"GRPC_AUTH_TOKENS": " , "}, False),
        ({"GRPC_AUTH_TOKENS": "a,b"}, True),
        ({"GRPC_ADMIN_TOKENS": "a"}, True),
        ({"GRPC_AUTH_TOKENS": "a", "GRPC_REQUIRE_AUTH": "true"}, True),
        ({"GRPC_AUTH_TOKENS": "a", "GRPC_REQUIRE_AUTH": "false"}, False),
        ({"GRPC_REQUIRE_AUTH": "0"}, False),
    ],
)
def test_there_being_tokens_one_is_asked_for(environ, asked):
    assert (choose(**environ).tokens is not None) is asked


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"GRPC_REQUIRE_AUTH": "true"}, "nobody could call"),
        ({"GRPC_REQUIRE_AUTH": "perhaps"}, "GRPC_REQUIRE_AUTH must be true or false"),
        ({"GRPC_MAX_MEMORY_MB": "lots"}, "GRPC_MAX_MEMORY_MB must be a number above 0"),
        ({"GRPC_MAX_TIMEOUT_SEC": "-1"}, "GRPC_MAX_TIMEOUT_SEC must be a number above 0"),
        ({"GRPC_MAX_TIMEOUT_SEC": "inf"}, "GRPC_MAX_TIMEOUT_SEC must be a number above 0"),
        ({"GRPC_BIND_ADDRESS": "50051"}, "is no HOST:PORT"),
    ],
)
def test_what_cannot_be_meant_is_refused(environ, words):
    with pytest.raises(UsageError, match=words):
        choose(**environ)


@pytest.mark.parametrize(
    ("flags", "environ", "words"),
    [
        ({}, {}, ["ANYBODY WHO REACHES [::]:50051"]),
        ({"grpc": ("127.0.0.1:1",)}, {}, []),
        ({}, {"GRPC_AUTH_TOKENS": "a"}, ["tokens travel unencrypted to [::]:50051"]),
        ({"grpc": ("localhost:1",)}, {"GRPC_AUTH_TOKENS": "a"}, []),
        ({"tls_cert": "c", "tls_key": "k"}, {"GRPC_AUTH_TOKENS": "a"}, []),
        ({"tls_cert": "c", "tls_key": "k", "client_ca": "ca"}, {}, []),
        ({"tls_cert": "c", "tls_key": "k"}, {}, ["ANYBODY WHO"]),
        ({"grpc": ("[::1]:1",), "http": "0.0.0.0:1"}, {}, ["may read the metrics"]),
        (
            {"grpc": ("[::1]:1",)},
            {"GRPC_AUTH_TOKENS": "a", "GRPC_REQUIRE_AUTH": "no"},
            ["are asked of nobody"],
        ),
    ],
)
def test_what_is_open_to_others_is_said_aloud(flags, environ, words):
    warnings = choose(flags, **environ).warnings
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert word in warning


def test_tls_files_of_the_file_are_used_where_none_are_named():
    tls = choose(None, {"tls_cert": "/c", "tls_key": "/k", "client_ca": "/ca"}).tls
    assert [str(path) for path in (tls.certificate, tls.key, tls.client_ca)] == ["/c", "/k", "/ca"]


def test_quotas_and_access_come_from_the_file():
    choices = choose(
        None, {"calls_per_client": 3, "bytes_per_sec": 9.0, "allowed_imports": ("m:f",)}
    )
    assert choices.quotas.calls_max == 3
    assert choices.quotas.bytes_per_s == 9
    assert choices.access.imports == ("m:f",)


def test_the_page_about_serving_shows_the_defaults_and_every_key():
    (block,) = Page.read(ROOT / "docs" / "serving.md").of("toml")
    assert ServiceTable(**tomllib.loads(block.text)["service"]) == ServiceTable()
    assert [key for key in ServiceTable.model_fields if key not in block.text] == []
