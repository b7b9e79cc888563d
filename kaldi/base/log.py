"""Messages on stderr in Kaldi's form, and the one exception that ends a program with a clear line."""

from __future__ import annotations

import sys

from kaldi.base.text import encode

program = "kaldi"  # set by kaldi.main to the name that the program was called as


class KaldiError(Exception):
    """Bad input or usage: its message names the file, the utterance and the remedy. Programs exit with status 1."""


def line(text: str) -> None:
    """One line on stderr, in one write, as the programs of a pipe share the log. Bytes that are not UTF-8 are kept."""
    if sys.stderr:
        sys.stderr.buffer.write(encode(f"{text}\n"))
        sys.stderr.buffer.flush()


def log(message: str) -> None:
    """One `LOG (program) message` line."""
    line(f"LOG ({program}[embedded]) {message}")


def warn(message: str) -> None:
    """One `WARNING (program) message` line."""
    line(f"WARNING ({program}[embedded]) {message}")


def done(count: int, what: str, errors: int = 0) -> None:
    """Report how many objects were done, and fail when none was, as Kaldi's programs do."""
    log(f"Done {count} {what}" + (f", {errors} with errors." if errors else "."))
    if count == 0:
        raise KaldiError(f"no {what} were processed: the input is empty or all of them failed (see the warnings)")
