"""TLS from files: what works, and what is said of files that do not."""

import asyncio
import ssl
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from engine.errors import UsageError
from transports.rpc.security.credentials import TlsFiles, _Renewals

PKI = Path(__file__).with_name("pki")
CA = (PKI / "ca.pem").read_bytes()


def files(certificate="server.pem", key="server.key", client_ca=None):
    return TlsFiles(PKI / certificate, PKI / key, PKI / client_ca if client_ca else None)


async def check(address, credentials):
    async with grpc.aio.secure_channel(address, credentials) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(), timeout=20)).status


@pytest.mark.net
async def test_a_client_that_trusts_the_authority_is_served(serve):
    running = await serve(credentials=files().credentials())
    (address,) = running.server.addresses
    assert await check(address, grpc.ssl_channel_credentials(CA)) == 1


@pytest.mark.net
async def test_a_client_needs_a_certificate_where_one_is_asked_for(serve):
    running = await serve(credentials=files(client_ca="ca.pem").credentials())
    (address,) = running.server.addresses
    key, certificate = (PKI / "client.key").read_bytes(), (PKI / "client.pem").read_bytes()
    assert await check(address, grpc.ssl_channel_credentials(CA, key, certificate)) == 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(address, grpc.ssl_channel_credentials(CA))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.net
async def test_files_that_are_renewed_are_met_by_the_next_connection(serve, tmp_path, caplog):
    def lay(name):
        for kind in ("pem", "key"):
            (tmp_path / f"new.{kind}").write_bytes((PKI / f"{name}.{kind}").read_bytes())
            (tmp_path / f"new.{kind}").rename(tmp_path / f"tls.{kind}")

    lay("server")
    renewed = TlsFiles(tmp_path / "tls.pem", tmp_path / "tls.key")
    running = await serve(credentials=renewed.credentials())
    (address,) = running.server.addresses

    async def met():
        host, port = address.split(":")
        pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
        return next(n for n in ("server", "client") if pem == (PKI / f"{n}.pem").read_text())

    async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(CA)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert await met() == "server"
        lay("client")
        assert await met() == "client"
        (tmp_path / "tls.key").write_bytes(b"half of it")
        assert await met() == "client"
        assert "tls_not_renewed: cannot use the certificate" in caplog.text
        lay("server")
        assert await met() == "server"
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=20)


@pytest.mark.parametrize(
    ("certificate", "fault"),
    [("server.pem", ""), ("expired.pem", "has expired"), ("future.pem", "is not valid yet")],
)
def test_a_certificate_out_of_date_is_used_with_a_warning(certificate, fault, caplog):
    files(certificate).credentials()
    said = [f"{PKI / certificate} {fault}: clients will refuse it"] if fault else []
    assert [
        record.getMessage().partition("the certificate ")[2] for record in caplog.records
    ] == said


def test_a_certificate_out_of_date_replaces_none(tmp_path, caplog):
    def lay(name):
        (tmp_path / "new.pem").write_bytes((PKI / f"{name}.pem").read_bytes())
        (tmp_path / "new.pem").rename(tmp_path / "tls.pem")

    lay("server")
    renewals = _Renewals(TlsFiles(tmp_path / "tls.pem", PKI / "server.key"))
    for name in ("expired", "future"):
        lay(name)
        assert renewals.newest() is None
        assert renewals.newest() is None
    assert [record.getMessage().partition("tls.pem ")[2] for record in caplog.records] == [
        "has expired; the one before is used",
        "is not valid yet; the one before is used",
    ]
    lay("server")
    assert renewals.newest() is not None
    assert renewals.newest() is None


@pytest.mark.net
async def test_a_client_without_tls_is_not_served(serve):
    running = await serve(credentials=files().credentials())
    stub = health_pb2_grpc.HealthStub(running.client.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"certificate": "missing.pem"}, r"cannot read the certificate .*missing\.pem: No such"),
        ({"key": "missing.key"}, r"cannot read the key .*missing\.key: No such"),
        ({"client_ca": "missing.pem"}, r"cannot read the client CA .*missing\.pem"),
        ({"key": "client.key"}, "the key belongs to another certificate"),
        ({"key": "encrypted.key"}, "the key is encrypted"),
        ({"certificate": "server.key"}, "is not PEM as it should be"),
        ({"key": "server.pem"}, "is not PEM as it should be"),
        ({"client_ca": "server.key"}, "has no certificate in PEM"),
    ],
)
def test_what_is_wrong_with_files_is_said(arguments, words):
    with pytest.raises(UsageError, match=words):
        files(**arguments).credentials()


def test_a_directory_is_no_certificate(tmp_path):
    with pytest.raises(UsageError, match="cannot read the certificate"):
        TlsFiles(tmp_path, PKI / "server.key").credentials()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("c", None, None), "the key is missing"),
        ((None, "k", None), "the certificate is missing"),
        ((None, None, "ca"), "needs a certificate and a key"),
    ],
)
def test_half_of_it_is_refused(names, words):
    with pytest.raises(UsageError, match=words):
        TlsFiles.of(*names)


def test_none_of_it_is_no_tls():
    assert TlsFiles.of(None, None, None) is None
