"""Ctrl-C and SIGTERM, which a scheduler sends before it kills, as a wish to save and stop."""

from __future__ import annotations

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Work that was stopped by a signal, saved; the message says how it goes on."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + number  # as shells report it: 130 or 143


class StopSignals:
    """Notes the first of SIGINT and SIGTERM that comes within a `with` block of the main thread.

    A loop asks for it where it can save, and raises Stopped(signals.received, ...). A second signal acts at once, but
    not in a process of torchrun, which passes on what the process has got already, and kills it after half a minute.
    """

    def __init__(self) -> None:
        self.received = 0  # the signal's number
        self._launched = "TORCHELASTIC_RUN_ID" in os.environ

    def __enter__(self) -> StopSignals:
        # What is ignored stays so: nohup and a shell's background jobs ignore Ctrl-C.
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        if not self._launched:
            self.__exit__()
