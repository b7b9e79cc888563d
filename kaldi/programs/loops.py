"""Loops over tables and files that several programs have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from kaldi.base.log import KaldiError, done, warn
from kaldi.util.kinds import Kind
from kaldi.util.table import BySpeaker, RandomAccess, TableWriter, is_specifier, read_file

Features = Iterator[tuple[str, np.ndarray]]


def counted(entries: Iterator[tuple[str, Any]], what: str) -> Iterator[tuple[str, Any]]:
    """The entries of a table, which are reported at its end. Raises KaldiError when there were none."""
    count = 0
    for entry in entries:
        count += 1
        yield entry
    done(count, what)


def converted(
    entries: Iterator[tuple[str, Any]], convert: Callable[[Any], Any], what: str
) -> Iterator[tuple[str, Any]]:
    """What `convert` makes of each value; where it raises KaldiError, a warning, and the entry is left out.

    Both are counted and reported at the end. Raises KaldiError when nothing was left.
    """
    count = errors = 0
    for key, value in entries:
        try:
            result = convert(value)
        except KaldiError as error:
            warn(f"{key} is left out: {error}")
            errors += 1
            continue
        yield key, result
        count += 1
    done(count, what, errors)


def optional_writer(wspecifier: str, kind: Kind) -> TableWriter | nullcontext:
    """A writer, or a context of None when no wspecifier is given."""
    return TableWriter(wspecifier, kind) if wspecifier else nullcontext()


def one_or_each(source: str, kind: Kind, utt2spk: str) -> Callable[[str], Any]:
    """What an utterance gets: the object of a file, as all do, or its own or its speaker's of a table (or None)."""
    if is_specifier(source):
        return BySpeaker(source, kind, utt2spk).get
    value = read_file(source, kind)
    return lambda utterance: value


def features_of(utterances: list[str], table: RandomAccess) -> Features:
    """The features of some utterances; those that have none are left out with a warning."""
    for key in utterances:
        matrix = table.get(key)
        if matrix is None:
            warn(f"{key} is left out: no features in {table.rspecifier}")
        else:
            yield key, matrix


def labelled(features: Features, labels: RandomAccess, what: str) -> Iterator[tuple[str, np.ndarray, Any]]:
    """Utterances with their alignments or posteriors, or None after a warning: not there, or of another length."""
    for key, matrix in features:
        label = labels.get(key)
        if label is None:
            warn(f"{key} is left out: no {what} in {labels.rspecifier}")
        elif len(label) != len(matrix):
            warn(f"{key} is left out: {what} of {len(label)} frames, but features of {len(matrix)}")
            label = None
        yield key, matrix, label


def sum_files(names: tuple[str, ...], kind: Kind) -> Any:
    """The sum of the statistics in some files."""
    if not names:
        raise KaldiError("no statistics are given (see --help)")
    total = read_file(names[0], kind)
    for name in names[1:]:
        total.add(read_file(name, kind), name)
    return total
