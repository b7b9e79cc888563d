"""Minimum Bayes risk decoding: the word sequence with the least expected edit distance (Kaldi: lat/sausages.h)."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from kaldi.base.log import warn
from kaldi.lat.lattice import Lattice
from kaldi.lat.mbr_core import accumulate
from kaldi.util.io import Output, Reader, number_text
from kaldi.util.kinds import Kind

Times = list[tuple[float, float]]


class MinimumBayesRisk:
    """Decodes a connected lattice whose costs are scaled already. Results:

    words: the best words; risk: their expected number of errors; one_best_times: (begin, end) in frames of each word;
    confidences: the posterior of each word; sausage: for each position the (word, posterior) pairs, most likely
    first; sausage_times: (begin, end) of each position. Decoding starts from `words`, or from the best path; without
    `decode_mbr` it stays there.
    """

    def __init__(
        self,
        lattice: Lattice,
        decode_mbr: bool = True,
        print_silence: bool = False,
        words: np.ndarray | None = None,
    ):
        if words is None:
            best = lattice.best_path()
            words = best.words if best else np.zeros(0, np.int32)
        # Words are numbered from 0, which is epsilon.
        self._vocabulary, numbers = np.unique(np.concatenate([[0], words, lattice.words]), return_inverse=True)
        self._lattice = (
            np.asarray(lattice.offsets, np.int64),
            lattice.targets,
            numbers[1 + len(words) :],
            lattice.weights,
            lattice.strings.lengths,
            lattice.final_weights,
            lattice.final_strings.lengths,
        )
        self._decode(numbers[1 : 1 + len(words)], decode_mbr)
        self._shown = np.flatnonzero((self._best != 0) | print_silence)
        self.words = self._vocabulary[self._best[self._shown]].astype(np.int32)
        self.confidences = self._gamma[self._shown, self._best[self._shown]]

    def _decode(self, reference: np.ndarray, decode_mbr: bool) -> None:
        """Find the best word of each position, beginning with a reference; and statistics of words there, [Q, W]."""
        for _ in range(100):
            spoken = reference[reference != 0]
            reference = np.zeros(2 * len(spoken) + 1, np.int64)  # an epsilon around each word
            reference[1::2] = spoken
            gamma, begins, ends = np.zeros((3, len(reference), len(self._vocabulary)))
            self.risk = accumulate(*self._lattice, reference, gamma, begins, ends)
            best = gamma.argmax(axis=1) if decode_mbr else reference
            positions = np.arange(len(reference))
            if not (gamma[positions, best] > gamma[positions, reference]).any():
                break
            reference = best
        else:
            warn("too many iterations of minimum Bayes risk decoding")
        self._best, self._gamma, self._begins, self._ends = best, gamma, begins, ends

    @cached_property
    def sausage(self) -> list[list[tuple[int, float]]]:
        sausage = []
        for row in self._gamma:
            entries = np.flatnonzero(row)
            entries = entries[np.argsort(-row[entries], kind="stable")]
            sausage.append(list(zip(self._vocabulary[entries].tolist(), row[entries].tolist(), strict=True)))
        return sausage

    @cached_property
    def one_best_times(self) -> Times:
        at = self._shown, self._best[self._shown]
        with np.errstate(invalid="ignore", divide="ignore"):
            begins, ends = self._begins[at] / self._gamma[at], self._ends[at] / self._gamma[at]
        return _disjoint(list(zip(begins.tolist(), ends.tolist(), strict=True)))

    @cached_property
    def sausage_times(self) -> Times:
        times: Times = []
        for begin, end in zip(self._begins.sum(axis=1).tolist(), self._ends.sum(axis=1).tolist(), strict=True):
            if times and times[-1][1] > begin:
                begin = (times[-1][1] + begin) / 2
                times[-1] = (times[-1][0], begin)
            times.append((begin, end))
        return times


def _disjoint(times: Times) -> Times:
    """Resolve overlaps of neighbours: the time that both cover is shared in the proportion of their lengths."""
    result: Times = []
    for begin, end in times:
        if result and result[-1][1] > begin:
            before, before_end = result[-1]
            left = max(result[-2][1] if len(result) > 1 else 0.0, min(before, begin))
            right = max(before_end, end)
            first, second = before_end - before, end - begin
            middle = left + (right - left) * first / (first + second) if first > 0 else left
            result[-1] = (left, middle)
            begin, end = middle, right
        result.append((begin, end))
    return result


def _read_times(reader: Reader, binary: bool) -> Times:
    if binary:
        return [(reader.real(True), reader.real(True)) for _ in range(reader.integer(True))]
    pairs = [part.split() for part in reader.line().split(";")]
    return [(float(begin), float(end)) for begin, end in (pairs if pairs != [[]] else [])]


def _write_times(out: Output, times: Times, binary: bool) -> None:
    if binary:
        out.integer(len(times), True)
        for begin, end in times:
            out.real(begin, True)
            out.real(end, True)
    else:
        out.write(("; ".join(f"{number_text(begin)} {number_text(end)} " for begin, end in times) + "\n").encode())


TIMES = Kind("times", _read_times, _write_times)
