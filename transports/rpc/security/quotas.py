"""How much one client may do. Pure: no I/O; the time is an argument. Source: FR-010, US3.

Messages and bytes fill a bucket that empties at the client's rate and holds one second of it. What
does not fit any more is a debt: the message that made it has been read already, and is not lost;
the next one waits until the debt is paid. So no size of message is impossible, and over any longer
time the rate holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError
from transports.rpc.limits import ATTACHED_MAX


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one client may do; None: any amount.

    Attributes:
        calls_max: executions and streams that are open at once; for each of them as many
            attachments as one session may have.
        messages_per_s: messages it may send each second, those that begin a call included.
        bytes_per_s: bytes of them.

    Raises:
        UsageError: a value is out of range.
    """

    calls_max: int | None = None
    messages_per_s: float | None = None
    bytes_per_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls_max", "messages_per_s", "bytes_per_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name} must be above 0, got {value}")

    @property
    def unlimited(self) -> bool:
        """Whether they limit nothing."""
        return self == _UNLIMITED


_UNLIMITED = Quotas()


class Bucket:
    """A rate, and how far it is used."""

    def __init__(self, rate_per_s: float, now_s: float) -> None:
        """Begin with one second's worth to spend.

        Args:
            rate_per_s: what comes in each second.
            now_s: the time, on any clock that only goes on.
        """
        self._rate_per_s = rate_per_s
        self._burst = max(1.0, rate_per_s)
        self._level = self._burst
        self._at_s = now_s

    def take(self, amount: float, now_s: float) -> None:
        """Spend an amount, on credit where there is too little."""
        self._refill(now_s)
        self._level -= amount

    def wait_s(self, now_s: float) -> float:
        """How long it takes until something may be spent again; 0: now."""
        self._refill(now_s)
        return 0.0 if self._level > 0 else (1e-3 - self._level) / self._rate_per_s

    def _refill(self, now_s: float) -> None:
        gained = (now_s - self._at_s) * self._rate_per_s
        self._level = min(self._burst, self._level + gained)
        self._at_s = now_s


class Account:
    """What one client has used of its quotas.

    Attributes:
        quotas: what it may use.
        calls: executions and streams that it has open.
        attachments: attachments that it has open, those whose session has ended included.
    """

    def __init__(self, quotas: Quotas, now_s: float) -> None:
        """Begin unused."""
        self.quotas = quotas
        self.calls = 0
        self.attachments = 0
        self._messages = _bucket(quotas.messages_per_s, now_s)
        self._bytes = _bucket(quotas.bytes_per_s, now_s)

    def note(self, size_bytes: int, now_s: float) -> None:
        """Count a message that has come."""
        if self._messages is not None:
            self._messages.take(1, now_s)
        if self._bytes is not None:
            self._bytes.take(size_bytes, now_s)

    def wait_s(self, now_s: float) -> float:
        """How long it takes until the next message may come; 0: now."""
        buckets = (self._messages, self._bytes)
        return max((bucket.wait_s(now_s) for bucket in buckets if bucket is not None), default=0.0)

    def no_more_calls(self) -> str | None:
        """Why no more executions and streams may be opened; None: they may."""
        limit = self.quotas.calls_max
        if limit is None or self.calls < limit:
            return None
        return (
            f"this client has {self.calls} executions and streams open, and may have {limit}:"
            " end one, or ask the service's operator for more"
        )

    def detached(self, _: object) -> None:
        """Count an attachment no more: its call is over."""
        self.attachments -= 1

    def no_more_attachments(self) -> str | None:
        """Why it may not attach itself once more; None: it may."""
        if self.quotas.calls_max is None:
            return None
        limit = self.quotas.calls_max * ATTACHED_MAX
        if self.attachments < limit:
            return None
        return (
            f"this client has {self.attachments} attachments open, and may have {limit}: end one,"
            " or read what those wait to say whose session has ended"
        )

    def too_fast(self, now_s: float) -> str | None:
        """Why a new call of this client may not begin now; None: it may."""
        wait_s = self.wait_s(now_s)
        if wait_s > 0:
            return f"this client has sent more than its rate allows: try again in {wait_s:.2g} s"
        return None


def _bucket(rate_per_s: float | None, now_s: float) -> Bucket | None:
    return None if rate_per_s is None else Bucket(rate_per_s, now_s)
