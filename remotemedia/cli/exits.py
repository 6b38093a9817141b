"""What the command's exit codes are. Pure."""

from __future__ import annotations

import signal
from typing import Final

from engine.errors import ManifestError, MediaError, ResourceLimitError, UsageError

DONE: Final = 0
WENT_WRONG: Final = 1
ASKED_WRONGLY: Final = 2
#: Added to a signal's number, as shells do.
SIGNALLED: Final = 128
READER_GONE: Final = SIGNALLED + signal.SIGPIPE

_ASKED_WRONGLY = (ManifestError, UsageError, MediaError, ResourceLimitError)


def exit_code_of(error: BaseException) -> int:
    """The exit code that says what kind of error it was."""
    return ASKED_WRONGLY if isinstance(error, _ASKED_WRONGLY) else WENT_WRONG
