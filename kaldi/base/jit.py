"""`njit` of numba, which is not imported before it is needed, and what cores share: they import it from here.

A core with one signature is loaded from the file that its machine code was kept in when the recipe was installed
(kaldi/compile.py). Where there is none, numba takes it from its own cache or compiles it, and the program starts later.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from kaldi.base import machine_code

unkept: list[Any] | None = None  # kaldi/compile.py takes from it what was compiled here, and not loaded from a cache
KEPT: dict[str, Any] = {"cache": False, "no_cfunc_wrapper": True}  # options of what is compiled to be kept


class Helper:
    """A function that cores call, and Python by way of numba."""

    def __init__(self, function: FunctionType, options: dict[str, Any]):
        self.function, self.options, self.dispatcher = function, options, None

    def compiled(self) -> Any:
        """numba's dispatcher, which compiles the function for each kind of arguments."""
        if self.dispatcher is None:
            from numba import njit

            options = self.options if unkept is None else {**self.options, **KEPT, "no_cpython_wrapper": True}
            self.dispatcher = njit(**options)(self.function)
            resolve(self.function.__globals__)
        return self.dispatcher

    def __call__(self, *arguments: Any) -> Any:
        return self.compiled()(*arguments)


def resolve(names: dict[str, Any]) -> None:
    """Put numba's dispatchers in place of the helpers among a module's names: numba looks for them there."""
    for name, value in list(names.items()):
        if isinstance(value, Helper):
            names[name] = value.compiled()


def compiled_by_numba(function: FunctionType, signatures: list[str], options: dict[str, Any]) -> Any:
    """A core as numba's dispatcher. Signatures may name the structures, NumPy dtypes, of the core's module."""
    import numba

    names = function.__globals__
    resolve(names)
    structures = {name: numba.from_dtype(value) for name, value in names.items() if isinstance(value, np.dtype)}
    types = {**vars(numba.types), **structures}
    return numba.njit([eval(signature, types) for signature in signatures], **options)(function)


def njit(signature: Any = None, **options: Any) -> Any:
    """numba's decorator: of helpers without, of others with a signature or a list of them."""
    if isinstance(signature, FunctionType):
        return Helper(signature, {})

    def decorate(function: FunctionType) -> Helper | Callable:
        if signature is None:
            return Helper(function, options)
        if not isinstance(signature, str):
            return compiled_by_numba(function, signature, options)
        loaded = machine_code.load(function)
        if loaded:
            return loaded
        if unkept is None:
            return compiled_by_numba(function, [signature], options)
        unkept.append(compiled_by_numba(function, [signature], {**options, **KEPT}))
        return unkept[-1]

    return decorate


@njit
def with_room(array, count, more):
    """The array, or a longer copy of its first `count` items, with room for `more` of them after those.

    (A loop, as a slice assignment takes numba seconds to compile. numba's own caches do not notice a change here:
    remove the cores' `__pycache__` after one.)
    """
    if count + more <= len(array):
        return array
    grown = np.empty(max(count + more, 2 * len(array)), array.dtype)
    for i in range(count):
        grown[i] = array[i]
    return grown


@njit
def place_of(table, keys, key):
    """The place in the hash table of the key, or of the gap where it belongs; table [2^k] holds indices of keys."""
    mask = len(table) - 1
    place = (key ^ (key >> 29)) * 0x9E3779B1 & mask
    while table[place] >= 0 and keys[table[place]] != key:
        place = (place + 1) & mask
    return place


@njit
def number_of(table, keys, count, key):
    """(table, keys, count, number) of a key, which gets the next number if it is new."""
    place = place_of(table, keys, key)
    if table[place] >= 0:
        return table, keys, count, table[place]
    keys = with_room(keys, count, 1)
    keys[count] = key
    table[place] = count
    count += 1
    if 2 * count > len(table):
        table = np.full(4 * len(table), -1, np.int64)
        for i in range(count):
            table[place_of(table, keys, keys[i])] = i
    return table, keys, count, count - 1


@njit
def first_with(labels, begin, end, label):
    """The first of the sorted labels[begin:end] that is not below `label`."""
    while begin < end:
        middle = (begin + end) // 2
        if labels[middle] < label:
            begin = middle + 1
        else:
            end = middle
    return begin


@njit
def smallest(values, rank):
    """The element of this rank (from 0) of the values, which are reordered (quickselect)."""
    low, high = 0, len(values) - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]
