"""Minimum Bayes risk decoding: the word sequence with the least expected edit distance (Kaldi: lat/sausages.h)."""

from __future__ import annotations

import numpy as np

from kaldi.base.log import warn
from kaldi.lat.lattice import Lattice
from kaldi.lat.mbr_core import accumulate
from kaldi.util.io import Output, Reader, number_text
from kaldi.util.kinds import Kind

Times = list[tuple[float, float]]


class MinimumBayesRisk:
    """Decodes a lattice whose costs are scaled already. Results:

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
        lattice = lattice.connected()
        at = lattice.final_states
        count = lattice.num_states
        final_times = lattice.state_times[at] + lattice.final_strings.lengths[at]
        self._times = np.append(lattice.state_times, final_times.max(initial=0)).astype(np.float64)
        if words is None:
            best = lattice.best_path()
            words = best.words if best else np.zeros(0, np.int32)
        self._vocabulary = np.union1d(np.append(words, 0), lattice.words)
        self._sources = np.concatenate([lattice.sources, at]).astype(np.int64)
        self._targets = np.concatenate([lattice.targets, np.full(len(at), count)]).astype(np.int64)
        labels = np.concatenate([lattice.words, np.zeros(len(at), np.int64)])
        self._words = np.searchsorted(self._vocabulary, labels).astype(np.int64)
        self._scores = -np.concatenate(
            [lattice.weights.sum(axis=1, dtype=np.float64), lattice.final_weights[at].sum(axis=1, dtype=np.float64)]
        )
        self._entering = np.argsort(self._targets, kind="stable").astype(np.int64)
        self._reference = np.searchsorted(self._vocabulary, words)
        self._decode(decode_mbr, print_silence)

    def _decode(self, decode_mbr: bool, print_silence: bool) -> None:
        for _ in range(100):
            reference = np.zeros(2 * np.count_nonzero(self._reference) + 1, np.int64)  # an epsilon around each word
            reference[1::2] = self._reference[self._reference != 0]
            gamma, begins, ends = (np.zeros((len(reference), len(self._vocabulary))) for _ in range(3))
            self.risk = accumulate(
                self._entering,
                self._sources,
                self._targets,
                self._words,
                self._scores,
                reference,
                self._times,
                gamma,
                begins,
                ends,
            )
            best = gamma.argmax(axis=1) if decode_mbr else reference
            changed = gamma[np.arange(len(reference)), best] - gamma[np.arange(len(reference)), reference]
            self._reference = best
            if not (changed > 0).any():
                break
        else:
            warn("too many iterations of minimum Bayes risk decoding")
        shown = np.flatnonzero((best != 0) | print_silence)
        self.words = self._vocabulary[best[shown]].astype(np.int32)
        self.confidences = gamma[shown, best[shown]]
        self._set_times(gamma, begins, ends, shown, best)
        self.sausage = []
        for row in gamma:
            entries = np.flatnonzero(row)
            entries = entries[np.argsort(-row[entries], kind="stable")]
            self.sausage.append(list(zip(self._vocabulary[entries].tolist(), row[entries].tolist(), strict=True)))

    def _set_times(
        self, gamma: np.ndarray, begins: np.ndarray, ends: np.ndarray, shown: np.ndarray, best: np.ndarray
    ) -> None:
        with np.errstate(invalid="ignore", divide="ignore"):
            mean_begins, mean_ends = begins / gamma, ends / gamma
        self.one_best_times = _disjoint(
            [(float(mean_begins[q, best[q]]), float(mean_ends[q, best[q]])) for q in shown.tolist()]
        )
        self.sausage_times: Times = []
        for begin, end in zip(begins.sum(axis=1).tolist(), ends.sum(axis=1).tolist(), strict=True):
            if self.sausage_times and self.sausage_times[-1][1] > begin:
                begin = (self.sausage_times[-1][1] + begin) / 2
                self.sausage_times[-1] = (self.sausage_times[-1][0], begin)
            self.sausage_times.append((begin, end))


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
