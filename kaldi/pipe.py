"""Runs the commands of a Kaldi pipe inside this process when all of them are embedded programs.

A Python start costs more than a Kaldi program's, and nearly every program reads its features through a pipe.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from kaldi.programs import MODULE_OF, find
from kaldi.util.io import PipedFile, Reader, open_command
from kaldi.util.options import check_arguments, parse
from kaldi.util.table import Piped, Stream, written_kind

LAUNCHER = Path(__file__).parent / "bin" / "embedded-kaldi"
SHELL_SYNTAX = set(";&<>()$`[~\\#")
WILDCARDS = set("*?")


def split_commands(command: str) -> list[list[str]] | None:
    """The words of each command of a pipe, or None when it needs a shell."""
    wild = WILDCARDS & set(command)
    if SHELL_SYNTAX & set(command) or (wild and set("'\"") & set(command)):
        return None
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word == "|":
                commands.append([])
            else:
                commands[-1] += expand(word) if wild else [word]
    except ValueError:
        return None
    return commands if all(commands) else None


def expand(word: str) -> list[str]:
    """The files that a word with wildcards names, or the word itself, as a shell does (`gmm-sum-accs - 1.*.acc |`)."""
    from glob import glob

    return sorted(glob(word)) or [word]  # noqa: PTH207


def embedded(words: list[str]) -> Callable | None:
    """The function of a command, if PATH finds the embedded program under its name."""
    if words[0] not in MODULE_OF:
        return None
    path = shutil.which(words[0])
    return find(words[0]) if path and os.path.samefile(path, LAUNCHER) else None  # noqa: PTH121


def is_pipe(word: str) -> bool:
    """Whether a word is `ark:-`, with whatever options."""
    return word.startswith("ark") and word.endswith(":-")


def start(words: list[str], function: Callable, source: Stream | Reader | None) -> Stream:
    """The stream of a table program; `source` is what its `ark:-` reads."""
    arguments, options, _ = parse(function, words[1:])
    check_arguments(function, arguments)
    binary = "t" not in arguments[-1].partition(":")[0].split(",")
    if source is not None:
        place = next(i for i, argument in enumerate(arguments) if is_pipe(argument))
        arguments[place] = piped = Piped(arguments[place])
        piped.source = source
    return Stream(function(*arguments, **options), written_kind(function, options), binary, shlex.join(words))


def run_to_table(command: str) -> Stream | None:
    """The (key, object) that the last command of a pipe writes to `ark:-`, or None when the pipe needs a shell.

    Commands before the first embedded one (`gunzip -c ali.1.gz | ...`) are run by a shell and read through a real pipe.
    """
    commands = split_commands(command)
    if commands is None:
        return None
    found = [embedded(words) for words in commands]
    first = next((i for i, function in enumerate(found) if function), len(commands))
    functions = [function for function in found[first:] if function and hasattr(function, "writes")]
    if not functions or len(functions) < len(commands) - first:
        return None
    if not all(is_pipe(words[-1]) for words in commands[first:]):
        return None
    if any(sum(map(is_pipe, words)) != 2 for words in commands[max(first, 1) :]):
        return None  # one reads its standard input as something else, such as scp:-
    shell = " | ".join(shlex.join(words) for words in commands[:first])
    stream = start(commands[first], functions[0], open_command(shell, shell) if shell else None)
    for words, function in zip(commands[first + 1 :], functions[1:], strict=True):
        stream = start(words, function, stream)
    return stream


def run_to_bytes(command: str) -> bytes | None:
    """What a single embedded program writes to `-`, or None when the command must be run by a shell."""
    commands = split_commands(command)
    if commands is None or len(commands) > 1:
        return None
    words = commands[0]
    function = embedded(words)
    if function is None or hasattr(function, "writes") or words.count("-") != 1:
        return None
    arguments, options, _ = parse(function, words[1:])
    check_arguments(function, arguments)
    out = PipedFile("-")
    out.content = BytesIO()
    function(*(out if a == "-" else a for a in arguments), **options)
    return out.content.getvalue()
