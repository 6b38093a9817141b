"""Runs the gRPC service for the command: start, wait for a signal, drain, end.

Source: FR-008, FR-012.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from engine.config import load_service, load_settings
from engine.errors import ManifestError, UsageError
from engine.executors.process import warm_up
from engine.manifest.document import load_document
from engine.manifest.load import load_manifest
from engine.prepare import prepare
from engine.wording import quoted
from remotemedia.cli.exits import DONE
from remotemedia.cli.operator_modules import registry_with
from remotemedia.cli.serving_choices import Choices, Flags
from remotemedia.cli.signals import Interrupts
from remotemedia.cli.stdout import ReaderGoneError, say
from transports.rpc.metrics import Observed, ServiceMetrics, make_registry
from transports.rpc.security.admission import Admission
from transports.rpc.server import RpcServer
from transports.rpc.service import PipelineService
from transports.rpc.status_page import StatusPage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.config import Settings
    from engine.manifest.model import Manifest
    from engine.registry import Registry

logger = logging.getLogger("remotemedia.serve")

#: Beyond twice the grace period, for the interpreter's own end.
_END_MARGIN_S: Final = 2.0
#: Open files that a service asks the kernel for: each connection is one.
_FILES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Serving:
    """A service that is ready to be run.

    Attributes:
        choices: what it is to do.
        settings: the engine's settings.
        registry: the operators there are.
        pipelines: the service's own.
    """

    choices: Choices
    settings: Settings
    registry: Registry
    pipelines: dict[str, Manifest]

    @classmethod
    def prepare(
        cls,
        flags: Flags,
        config: Path | None,
        operators: Iterable[str],
        pipelines: Iterable[str],
        *,
        processes: bool,
    ) -> Self:
        """Read everything there is to read, so that what is wrong is said before it listens.

        Args:
            flags: the command line.
            config: the file of settings, or None.
            operators: modules and files with operators.
            pipelines: the service's own, as NAME=MANIFEST.
            processes: whether nodes may have processes of their own.

        Raises:
            RemoteMediaError: something of it cannot be used.
        """
        settings = load_settings(config)
        if not processes:
            settings = replace(settings, enabled=False)
        choices = Choices.of(flags, load_service(config), os.environ)
        registry = registry_with(operators, settings)
        manifests: dict[str, Manifest] = {}
        for text in pipelines:
            name, path = _named(text)
            if name in manifests:
                raise UsageError(f"--pipeline {quoted(text)}: there is a pipeline {name!r} already")
            try:
                manifests[name] = load_manifest(load_document(path).manifest)
                plan = prepare(manifests[name], registry, settings)
            except ManifestError as error:
                where = [replace(p, path=f"{text}: {p.path}") for p in error.problems]
                raise ManifestError(where, **error.context) from error
            for warning in plan.warnings:
                logger.warning("pipeline_warning: %s: %s", name, warning)
        return cls(choices, settings, registry, manifests)

    async def run(self, *, debug: bool) -> int:
        """Serve until a signal says to stop.

        Args:
            debug: whether clients may see tracebacks of the service's own.

        Returns:
            The exit code.

        Raises:
            TransportError: an address cannot be listened on.
            UsageError: a file of TLS cannot be used.
            SpawnError: the interpreter of the settings cannot be used.
        """
        choices = self.choices
        credentials = None if choices.tls is None else choices.tls.credentials()
        for warning in choices.warnings:
            logger.warning(warning)
        _allow_many_files()
        if self.settings.enabled:
            warm_up(self.settings)
        service = PipelineService(
            self.registry,
            self.settings,
            choices.limits,
            debug=debug,
            access=choices.access,
            pipelines=self.pipelines,
        )
        metrics = ServiceMetrics(service)
        registry = make_registry(metrics)
        server = RpcServer(
            service,
            choices.grpc,
            credentials=credentials,
            interceptors=(Observed(registry), Admission(choices.tokens, choices.quotas)),
        )
        told, endings = asyncio.Event(), set[asyncio.Task[None]]()

        def end_now() -> None:
            logger.warning("ending_now", extra={"sessions": len(service.sessions)})
            endings.add(asyncio.create_task(service.sessions.end_all()))

        end_timeout_s = 2 * self.settings.cleanup_grace_s + _END_MARGIN_S
        with Interrupts(told.set, end_now, end_timeout_s) as interrupts:
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(server)
                page = None
                if choices.http is not None:
                    page = StatusPage(service, metrics, registry, choices.http)
                    await stack.enter_async_context(page)
                _say([*(f"grpc {address}" for address in server.addresses)])
                _say([f"http {page.address}"] if page is not None else [])
                # What is there by now stays. Not to look through it for clients' garbage took 20 to
                # 55 % off the median time of 50 clients' calls.
                gc.collect()
                gc.freeze()
                _say(["ready"])
                await told.wait()
                logger.info("told_to_stop", extra={"signal": interrupts.name})
                await server.stop(choices.drain_s)
            await asyncio.gather(*endings)
            return interrupts.exit_code if interrupts.killed else DONE


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise UsageError(f"--pipeline {quoted(text)} is no NAME=MANIFEST")
    return name, Path(path)


def _say(lines: Iterable[str]) -> None:
    """Print lines that scripts wait for; whoever started the service may have closed the pipe."""
    with contextlib.suppress(ReaderGoneError):
        say("".join(f"{line}\n" for line in lines), end="")


def _allow_many_files() -> None:
    """Raise the limit of open files as far as the kernel lets us: shells set it for one user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
