"""Lets calls in: those with a token, within their client's quotas. Source: FR-010, FR-012, US3.

Every call goes through it, those of health and reflection too.

    no token, or a wrong one               UNAUTHENTICATED
    too many executions and streams open   RESOURCE_EXHAUSTED
    too many attachments open              RESOURCE_EXHAUSTED
    a new call beyond the rate             RESOURCE_EXHAUSTED: what waits would have to be kept
    a stream beyond the rate               its next message is read later, so that its client is
                                           slowed down; nothing is lost
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import grpc

from transports.rpc.interception import refusing, surrounded
from transports.rpc.security.caller import ANONYMOUS, set_caller
from transports.rpc.security.quotas import Account, Quotas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from transports.rpc.interception import Continuation, Handler
    from transports.rpc.security.tokens import Tokens

logger = logging.getLogger("remotemedia.rpc")

#: Calls that hold a session, as `Quotas.calls_max` counts them.
_OPENING: Final = ("/ExecutePipeline", "/StreamPipeline")
#: Calls that look into one, and may outlast it.
_ATTACHING: Final = "/Attach"
#: Refusals of one kind are logged at most this often, in seconds.
_LOG_INTERVAL_S: Final = 1.0
_UNAUTHENTICATED: Final = (
    'a token is needed: send the call metadata "authorization: Bearer <token>" with one that this'
    " service knows"
)


class Admission(grpc.aio.ServerInterceptor):
    """Decides on each call before anything of it is read."""

    def __init__(self, tokens: Tokens | None = None, quotas: Quotas | None = None) -> None:
        """Decide so.

        Args:
            tokens: who may call; None: everybody, and all of them are one client.
            quotas: what each client may do; None: anything.
        """
        self._tokens = tokens
        self._quotas = Quotas() if quotas is None else quotas
        self._accounts: dict[str, Account] = {}
        #: Event → when it was logged last, and how often it has come since.
        self._logged: dict[str, tuple[float, int]] = {}

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """See `grpc.aio.ServerInterceptor`."""
        method: str = handler_call_details.method
        client: str | None = ANONYMOUS
        if self._tokens is not None:
            client = self._tokens.client_of(handler_call_details.invocation_metadata or ())
        if client is None:
            self._log("unauthenticated", method=method[:200])
            return refusing(grpc.StatusCode.UNAUTHENTICATED, _UNAUTHENTICATED)
        account, opens = self._account(client), method.endswith(_OPENING)
        attaches = method.endswith(_ATTACHING)

        def no_more() -> str | None:
            if opens:
                return account.no_more_calls()
            return account.no_more_attachments() if attaches else None

        refusal = no_more() or account.too_fast(monotonic())
        if refusal is not None:
            self._log("over_quota", method=method[:200], client=client)
            return refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, refusal)
        set_caller(client)  # this is the call's own task
        handler = await continuation(handler_call_details)
        if handler is None or self._quotas.unlimited:
            return handler

        @contextlib.asynccontextmanager
        async def admitted(context: Any) -> AsyncIterator[Any]:
            # Asked again: of calls that came together, each was let in by itself.
            refusal = no_more()
            if refusal is not None:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, refusal)
            if attaches:
                # Until the call itself is over: what was written waits in it for a client that
                # does not read.
                account.attachments += 1
                context.add_done_callback(account.detached)
            account.calls += opens
            try:
                yield _SlowedContext(context, account)
            finally:
                account.calls -= opens

        return surrounded(
            handler, admitted, on_request=lambda size: account.note(size, monotonic())
        )

    def _log(self, event: str, **facts: str) -> None:
        """Log a refusal, seldom enough that nobody fills the log by them."""
        now_s = monotonic()
        logged_s, unsaid = self._logged.get(event, (-_LOG_INTERVAL_S, 0))
        if now_s - logged_s < _LOG_INTERVAL_S:
            self._logged[event] = logged_s, unsaid + 1
            return
        self._logged[event] = now_s, 0
        logger.warning(event, extra={**facts, "unsaid": unsaid})

    def _account(self, client: str) -> Account:
        account = self._accounts.get(client)
        if account is None:  # as many as there are tokens
            account = self._accounts[client] = Account(self._quotas, monotonic())
        return account


class _SlowedContext:
    """A call's context that reads no faster than its client's rate; else the context itself."""

    def __init__(self, context: Any, account: Account) -> None:
        self._context = context
        self._account = account

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        """The next message, once the client's rate allows one; EOF behind the last."""
        # Meanwhile another stream of the client may have used what came free.
        while (wait_s := self._account.wait_s(monotonic())) > 0:  # noqa: ASYNC110 - known how long
            await asyncio.sleep(wait_s)
        return await self._context.read()

    async def requests(self) -> AsyncIterator[Any]:
        """All messages; a servicer that iterates over its requests gets these."""
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message
