"""Entry of every embedded program: find its function, parse its options, run it, and turn bad input into one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from kaldi.base import log
from kaldi.programs import find
from kaldi.util import io, table
from kaldi.util.options import check_arguments, parse, usage


def run_to_bytes(command: str) -> bytes | None:
    from kaldi import pipe  # only where there is a pipe: starting is most of what a short program costs

    return pipe.run_to_bytes(command)


def run_to_table(command: str) -> table.Stream | None:
    from kaldi import pipe

    return pipe.run_to_table(command)


io.embedded_output, table.embedded_table = run_to_bytes, run_to_table


def single_threaded(name: str, argv: list[str]) -> tuple[str, list[str]]:
    """The program that does the work of a multi-threaded one of Kaldi: here jobs run side by side, not threads."""
    single = name.removesuffix("-parallel")
    return single, argv if single == name else [word for word in argv if not word.startswith("--num-threads=")]


def writes_table(function: Any, arguments: list[str]) -> bool:
    """Whether a table program is to write a table rather than a plain file."""
    return function.files is None or table.is_specifier(arguments[-1])


def write_table(function: Callable, arguments: list[str], options: dict) -> None:
    """Write what a table program yields to its last argument."""
    with table.TableWriter(arguments[-1], table.written_kind(function, options)) as writer:
        for key, value in function(*arguments, **options):
            writer.write(key, value)


def run(name: str, argv: list[str], common: dict[str, object]) -> int:
    """Run a program; its common options are left in `common`."""
    single, argv = single_threaded(name, argv)
    function = find(single)
    wanted = not argv and function.__code__.co_argcount > len(function.__defaults__ or ())
    arguments, options, found = parse(function, argv)
    common.update(found)
    if wanted or common.get("help"):
        print(usage(name, function), file=sys.stderr if wanted else sys.stdout)
        return 1 if wanted else 0
    check_arguments(function, arguments)
    if common.get("print_args", True):
        log.line(" ".join([name, *argv]))
    if hasattr(function, "writes") and writes_table(function, arguments):
        write_table(function, arguments, options)
        return 0
    function = getattr(function, "files", function)
    return int(function(*arguments, **options) or 0)


def main(name: str, argv: list[str]) -> int:
    """Run a program; returns its exit status: 0, or 1 after an error (the usage text when called without arguments)."""
    log.program = name
    common: dict[str, object] = {}
    try:
        status = run(name, argv, common)
        if sys.stdout:
            sys.stdout.flush()
        return status
    except log.KaldiError as error:
        message = str(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        message = "the reader of the output closed it early"
    except OSError as error:
        message = f"{error.filename or 'output'}: {error.strerror or error}"
    except MemoryError:
        message = "out of memory"
    except KeyboardInterrupt:
        message = "interrupted"
    except Exception as error:  # a damaged file that still parses, or a fault of ours: one line, the rest on request
        if common.get("verbose"):
            raise
        message = f"unexpected {type(error).__name__}: {error} (--verbose=1 shows where)"
    log.line(f"ERROR ({name}[embedded]) {message}")
    return 1
