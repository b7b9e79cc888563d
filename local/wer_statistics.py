#!/usr/bin/env python3
"""Statistics of the word error rates of a run, as tables with tabs, from what local/score.sh left of each decoding.

Writes into <out-dir>:
  errors.tsv       each decoding: word error rate (%), 95 % interval, words, insertions, deletions, substitutions
  differences.tsv  each two decodings of a test set: the first's rate less the other's, 95 % interval, p-value
  groups.tsv       each decoding by speaker, and where the data directory says so by gender, age, SNR (in steps of 5 dB)
                   and room
  confusions.tsv   each decoding: which words of the transcripts were heard as which, <eps> for none
  phones.tsv       each decoding: how often each phone of the transcripts was heard as each, in the pronunciations of
                   data/lang_test that are most alike; words that it lacks have those of its unknown word

Intervals and p-values are from 10000 bootstrap replications over the speakers, the same ones for both systems of a
difference (Bisani and Ney 2004); nan where there is one speaker only.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.util.edit_distance import Errors, align, count_errors
from local.bootstrap import draw_speakers, interval, resampled_ratios, significance
from local.decodings import Decoding, Words, read_of_utterances, read_scored
from local.levels import snr_band
from local.phone_alignment import Pronunciations, align_phones, read_pronunciations
from local.results import read_results, write_table

GROUPINGS = {"speaker": "utt2spk", "gender": "spk2gender", "age": "spk2age", "SNR": "utt2snr", "room": "utt2room"}
CONFUSIONS = 20  # of a decoding
NOTHING = "<eps>"
SNR_STEP = 5.0  # dB


class Counts:
    """Words and errors of some utterances by speaker."""

    def __init__(self, speakers: Iterable[str]) -> None:
        self.speakers = sorted(set(speakers))
        self._places = {speaker: place for place, speaker in enumerate(self.speakers)}
        self.words = np.zeros(len(self.speakers), int)
        self.errors = np.zeros(len(self.speakers), int)

    def add(self, speaker: str, words: int, errors: int) -> None:
        place = self._places[speaker]
        self.words[place] += words
        self.errors[place] += errors

    @property
    def rate(self) -> float:
        """Word error rate in %."""
        return 100 * self.errors.sum() / self.words.sum()

    def replications(self) -> np.ndarray:
        """The rate with other speakers drawn, in %; NaN where there is one speaker only."""
        if len(self.speakers) < 2:
            return np.full(1, np.nan)
        return 100 * resampled_ratios(draw_speakers(len(self.speakers)), self.errors, self.words)

    def figures(self) -> list[str]:
        """Rate and its interval."""
        replications = self.replications()
        low, high = interval(replications) if len(replications) > 1 else (float("nan"), float("nan"))
        return [f"{value:.2f}" for value in (self.rate, low, high)]


class Scored:
    """A decoding with the errors of each utterance. Raises OSError, ValueError."""

    def __init__(self, decoding: Decoding, exp: Path, data: Path) -> None:
        self.decoding, self.data = decoding, data / decoding.data
        self.reference, self.heard = read_scored(exp / decoding.directory)
        self.speakers = read_of_utterances(self.data, "utt2spk") or {}
        for utterance in self.reference:
            if utterance not in self.speakers:
                raise ValueError(f"{self.data}/utt2spk: has no {utterance}, which {exp / decoding.directory} has")
        if not any(self.reference.values()):
            raise ValueError(f"{exp / decoding.directory}: no words were scored")
        self.errors: dict[str, Errors] = {
            utterance: count_errors(words, self.heard[utterance]) for utterance, words in self.reference.items()
        }
        self.counts = self.count(self.reference)

    def count(self, utterances: Iterable[str]) -> Counts:
        """Those of some utterances."""
        utterances = list(utterances)
        counts = Counts(self.speakers[utterance] for utterance in utterances)
        for utterance in utterances:
            counts.add(self.speakers[utterance], len(self.reference[utterance]), self.errors[utterance].total)
        return counts

    def groups(self) -> Iterable[tuple[str, str, list[str]]]:
        """(grouping, group, utterances), numbers in their order."""
        for grouping, table in GROUPINGS.items():
            values = read_of_utterances(self.data, table) or {}
            members: dict[str, list[str]] = defaultdict(list)
            for utterance in self.reference:
                if utterance in values:
                    value = values[utterance]
                    members[snr_band(float(value), SNR_STEP) if grouping == "SNR" else value].append(utterance)
            for group in sorted(members, key=numbers_first):
                if any(self.reference[utterance] for utterance in members[group]):
                    yield grouping, group, members[group]


def numbers_first(name: str) -> tuple[float, str]:
    try:
        return float(name.removesuffix("dB")), name
    except ValueError:
        return float("inf"), name


def confusions(reference: Words, heard: Words) -> list[tuple[tuple[str, str], int]]:
    """Unlike words that stand opposite each other, and how often, most frequent first."""
    pairs: Counter[tuple[str, str]] = Counter()
    for utterance, words in reference.items():
        if words != heard[utterance]:
            pairs.update(pair for pair in align(words, heard[utterance], NOTHING) if pair[0] != pair[1])
    return sorted(pairs.items(), key=lambda item: (-item[1], item[0]))


def error_rows(scored: Scored) -> Iterable[list[str]]:
    sums = np.sum(list(scored.errors.values()), axis=0)
    numbers = [scored.counts.words.sum(), *sums[1:], len(scored.reference), len(scored.counts.speakers)]
    yield [*scored.decoding, *scored.counts.figures(), *map(str, numbers)]


def group_rows(scored: Scored) -> Iterable[list[str]]:
    for grouping, group, utterances in scored.groups():
        counts = scored.count(utterances)
        numbers = [counts.words.sum(), counts.errors.sum(), len(utterances), len(counts.speakers)]
        yield [*scored.decoding, grouping, group, *counts.figures(), *map(str, numbers)]


def confusion_rows(scored: Scored) -> Iterable[list[str]]:
    for (said, heard), count in confusions(scored.reference, scored.heard)[:CONFUSIONS]:
        yield [*scored.decoding, str(count), said, heard]


def phone_rows(scored: Scored, pronunciations: Pronunciations) -> Iterable[list[str]]:
    pairs: Counter[tuple[str, str]] = Counter()
    for utterance, words in scored.reference.items():
        pairs.update(align_phones(words, scored.heard[utterance], pronunciations))
    for (said, heard), count in sorted(pairs.items()):
        yield [*scored.decoding, str(count), said, heard]


def difference_rows(scored: list[Scored]) -> Iterable[list[str]]:
    """Each two decodings of a test set that has the same speakers in both."""
    replications = [one.counts.replications() for one in scored]
    for one, other in combinations(range(len(scored)), 2):
        first, second = scored[one], scored[other]
        if first.decoding.test_set != second.decoding.test_set or first.counts.speakers != second.counts.speakers:
            continue
        differences = replications[one] - replications[other]
        figures = [first.counts.rate - second.counts.rate, float("nan"), float("nan")]
        p = "nan"
        if len(differences) > 1:
            figures[1:] = interval(differences)
            p = f"{significance(differences):.4f}"
        name = first.decoding
        yield [name.test_set, name.system, name.condition, second.decoding.system, second.decoding.condition,
               *(f"{figure:.2f}" for figure in figures), p]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data directories")
    parser.add_argument("results", type=Path, help="exp/results.tsv, in the folder of the systems")
    parser.add_argument("out_dir", type=Path)
    arguments = parser.parse_args()
    decodings = [Decoding(*key[:3]) for key in read_results(arguments.results) if key[3] == "WER"]
    scored = [Scored(decoding, arguments.results.parent, arguments.data) for decoding in decodings]
    pronunciations = read_pronunciations(arguments.data / "lang_test")
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    figures = "WER low high words"
    tables: list[tuple[str, str, Callable[[Scored], Iterable[list[str]]]]] = [
        ("errors", f"{figures} insertions deletions substitutions utterances speakers", error_rows),
        ("groups", f"grouping group {figures} errors utterances speakers", group_rows),
        ("confusions", "count transcript heard", confusion_rows),
        ("phones", "count transcript heard", partial(phone_rows, pronunciations=pronunciations)),
    ]
    for name, columns, rows in tables:
        lines = (row for one in scored for row in rows(one))
        write_table(arguments.out_dir / f"{name}.tsv", f"system test_set condition {columns}", lines)
    columns = "test_set system condition other_system other_condition difference low high p"
    write_table(arguments.out_dir / "differences.tsv", columns, difference_rows(scored))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"wer_statistics.py: {failure}")
