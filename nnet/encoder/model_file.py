"""CTranslate2's model.bin: its variables by name, read, and written with other values.

Version 6 of the format (python/ctranslate2/specs/model_spec.py there), all numbers little-endian: the version, the name
and the revision of the architecture; the number of variables, and of each its name, dimensions, type and bytes; pairs
of names, an alias and the variable that it means. A name has its length with a zero byte in front of it, and that byte.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from local.whole_file import write_file

VERSION = 6
TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}
FLOATS = (0, 4)


@dataclass(frozen=True)
class Variable:
    """Dimensions, the number of its type, and bytes."""

    dims: tuple[int, ...]
    type: int
    data: bytes | memoryview

    def array(self) -> np.ndarray:
        return np.frombuffer(self.data, TYPES[self.type]).reshape(self.dims)


@dataclass(frozen=True)
class ModelFile:
    """head: what stands before the variables; aliases: other names of variables, which equal ones share."""

    head: bytes
    variables: dict[str, Variable]
    aliases: dict[str, str]

    def named(self) -> dict[str, Variable]:
        """The variables by all their names."""
        return self.variables | {alias: self.variables[name] for alias, name in self.aliases.items()}

    def room(self, prefix: str) -> dict[str, Variable]:
        """Those whose names begin so, without that beginning."""
        return {
            name.removeprefix(prefix): variable for name, variable in self.named().items() if name.startswith(prefix)
        }

    def with_values(self, values: Mapping[str, np.ndarray]) -> ModelFile:
        """Other values for some variables of floating-point numbers, which keep their types."""
        named = self.named()
        aliases = {alias: name for alias, name in self.aliases.items() if not {alias, name} & values.keys()}
        variables = {name: variable for name, variable in named.items() if name not in aliases}
        for name, array in values.items():
            variable = named[name]
            variables[name] = replace(variable, data=array.astype(TYPES[variable.type]).tobytes())
        return ModelFile(self.head, variables, aliases)

    def write(self, path: Path) -> None:
        """Raises OSError."""
        parts: list[bytes | memoryview] = [self.head, struct.pack("<I", len(self.variables))]
        for name, variable in self.variables.items():
            parts += [_text(name), struct.pack("B", len(variable.dims))]
            parts += [struct.pack(f"<{len(variable.dims)}I", *variable.dims)]
            parts += [struct.pack("<BI", variable.type, len(variable.data)), variable.data]
        parts.append(struct.pack("<I", len(self.aliases)))
        for alias, name in self.aliases.items():
            parts += [_text(alias), _text(name)]
        write_file(path, b"".join(parts))


def _text(name: str) -> bytes:
    data = name.encode() + b"\0"
    return struct.pack("<H", len(data)) + data


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.place = memoryview(data), 0

    def take(self, count: int) -> memoryview:
        taken = self.data[self.place : self.place + count]
        if len(taken) < count:
            raise ValueError("the file ends too early")
        self.place += count
        return taken

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))

    def text(self) -> str:
        return str(self.take(self.numbers("H")[0])[:-1], "utf-8")


def read_model_file(path: Path) -> ModelFile:
    """Raises OSError; ValueError that names the file and what is wrong with it."""
    reader, variables = _Reader(path.read_bytes()), {}
    try:
        (version,) = reader.numbers("I")
        if version != VERSION:
            raise ValueError(f"version {version} of the format, {VERSION} is known")
        reader.text()  # the architecture
        reader.numbers("I")  # its revision
        head = bytes(reader.data[: reader.place])
        for _ in range(reader.numbers("I")[0]):
            name, (rank,) = reader.text(), reader.numbers("B")
            dims = reader.numbers(f"{rank}I")
            kind, size = reader.numbers("BI")
            variables[name] = Variable(dims, kind, reader.take(size))
        aliases = {reader.text(): reader.text() for _ in range(reader.numbers("I")[0])}
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is no model of CTranslate2 that can be read ({error})") from None
    return ModelFile(head, variables, aliases)
