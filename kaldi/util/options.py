"""Kaldi's command-line convention, driven by a program's signature.

A program is a function. Its positional parameters are the program's arguments, its keyword-only parameters the options
(`--norm-vars` is `norm_vars`; the type of an option is the type of its default), its docstring the help text.
Kept free of argparse and inspect: a Kaldi recipe starts programs by the thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kaldi.base.log import KaldiError
from kaldi.base.text import decode

COMMON = {"help": False, "config": "", "verbose": 0, "print_args": True}


def with_options_of(*sources: Any) -> Callable:
    """Let a program take options that are written elsewhere: the fields of a NamedTuple, or the keyword-only parameters
    of a function that the program calls. They arrive as further keywords. The program's own defaults come first."""

    def extend(function: Any) -> Any:
        options = function.__kwdefaults__ or {}
        for source in sources:
            shared = source._field_defaults if hasattr(source, "_field_defaults") else source.__kwdefaults__
            options |= {key: default for key, default in shared.items() if key not in options}
        function.__kwdefaults__ = options
        return function

    return extend


def divided(options: dict[str, Any], *kinds: Any) -> list[Any]:
    """A NamedTuple of each kind with its share of the options."""
    return [kind(**{key: value for key, value in options.items() if key in kind._fields}) for kind in kinds]


def parse_bool(text: str) -> bool:
    if text.lower() in ("true", "t", "1", ""):
        return True
    if text.lower() in ("false", "f", "0"):
        return False
    raise ValueError(text)


def convert(name: str, text: str, default: object) -> object:
    """The option's text as a value of the type of its default."""
    kind: Callable[[str], object] = parse_bool if isinstance(default, bool) else type(default)
    try:
        return kind(text)
    except ValueError:
        wanted = {"parse_bool": "true or false", "int": "an integer", "float": "a number"}[kind.__name__]
        raise KaldiError(f"option --{name}={text}: expected {wanted}") from None


def read_config(path: str) -> list[str]:
    """Option lines of a Kaldi config file: `--name=value`, `#` starts a comment."""
    try:
        lines = decode(Path(path).read_bytes()).splitlines()
    except OSError as error:
        raise KaldiError(f"cannot read the config file {path}: {error.strerror}") from None
    options = [line.split("#", 1)[0].strip() for line in lines]
    for line in options:
        if line and not line.startswith("--"):
            raise KaldiError(f"{path}: expected a line --name=value, found: {line}")
    return [line for line in options if line]


def parse(function: Callable, argv: list[str]) -> tuple[list[str], dict[str, object], dict[str, object]]:
    """Split a command line into (arguments, the function's own options, Kaldi's common options). Raises KaldiError."""
    defaults = {**COMMON, **(function.__kwdefaults__ or {})}
    chosen: dict[str, object] = {}
    arguments: list[str] = []

    def take(option: str) -> None:
        name, equals, text = option[2:].partition("=")
        key = name.replace("-", "_").lower()
        if key not in defaults:
            raise KaldiError(f"unknown option --{name} (see --help)")
        if not equals and not isinstance(defaults[key], bool):
            raise KaldiError(f"option --{name} needs a value: --{name}=...")
        chosen[key] = convert(name, text, defaults[key])

    options_ended = False
    for word in argv:
        if options_ended or not word.startswith("--"):
            arguments.append(word)
        elif word == "--":
            options_ended = True
        else:
            take(word)
    if chosen.get("config"):
        given = dict(chosen)
        for line in read_config(str(chosen["config"])):
            take(line)
        chosen.update(given)  # the command line wins over the config file
    own = function.__kwdefaults__ or {}
    common = {key: chosen.pop(key, value) for key, value in COMMON.items() if key not in own}
    return arguments, chosen, common


def check_arguments(function: Callable, arguments: list[str]) -> None:
    """Raise KaldiError unless the number of arguments fits the function's positional parameters."""
    code = function.__code__
    most = code.co_argcount
    least = most - len(function.__defaults__ or ())
    variadic = bool(code.co_flags & 0x04)
    if len(arguments) < least or (len(arguments) > most and not variadic):
        names = code.co_varnames[:most]
        expected = " ".join(names) + (" ..." if variadic else "")
        raise KaldiError(f"{len(arguments)} arguments given, expected: {expected} (see --help)")


def usage(name: str, function: Callable) -> str:
    """The text of --help."""
    lines = [(function.__doc__ or "").strip(), "", "Options:"]
    for key, default in {**(function.__kwdefaults__ or {}), **COMMON}.items():
        kind = type(default).__name__
        shown = str(default).lower() if isinstance(default, bool) else repr(default)
        lines.append(f"  --{key.replace('_', '-')} ({kind}, default = {shown})")
    return "\n".join(lines)
