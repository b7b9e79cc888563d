"""Back-off n-gram models in arrays: read and written as ARPA, interpolated, pruned, measured on texts.

A model is a proper distribution over a closed vocabulary: what an ARPA file has beyond the vocabulary is left out, and
back-off shares the probability that this sets free. Logarithms are natural here, decimal in the files. Not kaldingram's
pruning, which takes P(<s>) for 0, so that no bigram after <s> is left (0.1.2), and needs a hundred times as long.
"""

from __future__ import annotations

import gzip
import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaldi.lm.arpa import LN10, read_ngrams
from local.whole_file import stream_lines, write_file

BOS, EOS, UNKNOWN = "<s>", "</s>", "<UNK>"
LEAST = 1e-12  # of a probability: what is below is rounding


class Vocabulary:
    """The words of a model with their numbers, those of <s>, </s> and <UNK> first. <s> is never predicted."""

    def __init__(self, spoken: Iterable[str]) -> None:
        self.words = [BOS, EOS, UNKNOWN, *sorted(set(spoken) - {BOS, EOS, UNKNOWN})]
        self.numbers = {word: number for number, word in enumerate(self.words)}
        self.bos, self.eos, self.unknown = range(3)

    def __len__(self) -> int:
        return len(self.words)


@dataclass
class Ngrams:
    """The n-grams of one order, sorted by (parent, word). parents int64 [N]: the place of the first n - 1 words among
    the n-grams of that order; words int64 [N]: the last word; keys: parents * V + words; log_probs, backoffs: [N].
    Each word of the vocabulary is a unigram, with a log-probability of -inf where the model lacks it."""

    parents: np.ndarray
    words: np.ndarray
    keys: np.ndarray
    log_probs: np.ndarray
    backoffs: np.ndarray


class NgramModel:
    """A back-off model of n-grams, given by order as rows of word numbers [N, n] with log-probabilities [N]. An n-gram
    whose first n - 1 words are not among those of the order below is left out."""

    def __init__(self, vocabulary: Vocabulary, rows: Sequence[np.ndarray], log_probs: Sequence[np.ndarray]) -> None:
        self.vocabulary = vocabulary
        size = len(vocabulary)
        unigrams = np.full(size, -np.inf)
        unigrams[rows[0][:, 0]] = log_probs[0]
        unigrams[vocabulary.bos] = -np.inf
        every = np.arange(size)
        self.orders = [Ngrams(np.zeros(size, np.int64), every, every, unigrams, np.zeros(size))]
        for of_order, values in zip(rows[1:], log_probs[1:], strict=True):
            parents = self.find(of_order[:, :-1])
            known = np.flatnonzero(parents >= 0)
            if not len(known):
                break
            keys, first = np.unique(parents[known] * size + of_order[known, -1], return_index=True)
            self.orders.append(Ngrams(keys // size, keys % size, keys, values[known[first]], np.zeros(len(keys))))
        unigrams -= np.logaddexp.reduce(unigrams)
        for order in range(2, len(self.orders) + 1):  # with these weights the words after each history sum to one
            seen, lower = self._left_over(order)
            self.orders[order - 2].backoffs = np.log(seen) - np.log(lower)

    def find(self, rows: np.ndarray) -> np.ndarray:
        """The places of n-grams [N, n] among those of their order, -1 for those that are not there."""
        places = rows[:, 0]
        for position in range(1, rows.shape[1]):
            keys = self.orders[position].keys
            wanted = np.where(places < 0, -1, places * len(self.vocabulary) + rows[:, position])
            places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            places = np.where(keys[places] == wanted, places, -1)
        return places

    def log_probs(self, rows: np.ndarray) -> np.ndarray:
        """ln P(last word | words before it) of rows [N, n]; words before the model's order do not count."""
        rows = rows[:, -len(self.orders) :]
        order = rows.shape[1]
        places = self.find(rows)
        result = self.orders[order - 1].log_probs[places]
        missing = places < 0
        if missing.any():
            rest = rows[missing]
            histories = self.find(rest[:, :-1])
            weights = np.where(histories < 0, 0.0, self.orders[order - 2].backoffs[histories])
            result[missing] = weights + self.log_probs(rest[:, 1:])
        return result

    def rows(self, order: int) -> np.ndarray:
        """The words of all n-grams of an order, [N, order]."""
        grams = self.orders[order - 1]
        if order == 1:
            return grams.words[:, None]
        return np.column_stack([self.rows(order - 1)[grams.parents], grams.words])

    def _left_over(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """For each history of the n-grams of an order, the probability that they leave to other words: by their own
        probabilities, and by those of the order below."""
        grams, histories = self.orders[order - 1], len(self.orders[order - 2].keys)
        lower = self.log_probs(self.rows(order)[:, 1:])
        masses = (np.bincount(grams.parents, np.exp(p), minlength=histories) for p in (grams.log_probs, lower))
        seen, unseen = (np.maximum(1 - mass, LEAST) for mass in masses)
        return seen, unseen

    def pruned(self, threshold: float) -> NgramModel:
        """Without the n-grams whose loss raises the perplexity by a smaller share than the threshold (Stolcke,
        Entropy-based pruning of backoff language models, 1998; SRILM's ngram -prune)."""
        all_rows: list[np.ndarray] = []
        all_log_probs: list[np.ndarray] = []
        is_history = np.zeros(len(self.orders[-1].keys), bool)
        for order in range(len(self.orders), 1, -1):
            grams, rows = self.orders[order - 1], self.rows(order)
            lower = self.log_probs(rows[:, 1:])
            left, left_lower = (values[grams.parents] for values in self._left_over(order))
            probs = np.exp(grams.log_probs)
            backoffs = np.log(left + probs) - np.log(left_lower + np.exp(lower))  # of the history without this n-gram
            change = probs * (lower + backoffs - grams.log_probs)
            change += left * (backoffs - self.orders[order - 2].backoffs[grams.parents])
            of_history = np.exp(self._log_joint(self.rows(order - 1)))[grams.parents]
            kept = is_history | (np.expm1(-of_history * change) >= threshold)
            is_history = np.zeros(len(self.orders[order - 2].keys), bool)
            is_history[grams.parents[kept]] = True
            all_rows.insert(0, rows[kept])
            all_log_probs.insert(0, grams.log_probs[kept])
        return NgramModel(self.vocabulary, [self.rows(1), *all_rows], [self.orders[0].log_probs, *all_log_probs])

    def interpolated(self) -> NgramModel:
        """What back-off gives to words that did not follow a history is shared out among all words (Chen, Goodman, "An
        empirical study of smoothing techniques for language modeling", 1999; SRILM's -interpolate). For a model whose
        n-grams have discounted counts as probabilities."""
        rows, log_probs = [self.rows(1)], [self.orders[0].log_probs]
        for order in range(2, len(self.orders) + 1):
            grams, words = self.orders[order - 1], self.rows(order)
            lower = NgramModel(self.vocabulary, rows, log_probs).log_probs(words[:, 1:])
            left, _ = self._left_over(order)
            rows.append(words)
            log_probs.append(np.logaddexp(grams.log_probs, np.log(left[grams.parents]) + lower))
        return NgramModel(self.vocabulary, rows, log_probs)

    def without_bypassed(self) -> NgramModel:
        """Without the n-grams that are less likely than by backing off; those that longer ones begin with stay.

        In a graph back-off is an arc that any word may follow, so the best path would go round such an n-gram, and give
        its word a better score than the model does. Hardly any back-off weight is above 1 afterwards.
        """
        model = self
        while True:
            rows, log_probs = [model.rows(1)], [model.orders[0].log_probs]
            is_history = np.zeros(0, bool)
            for order in range(len(model.orders), 1, -1):
                grams, words = model.orders[order - 1], model.rows(order)
                around = model.orders[order - 2].backoffs[grams.parents] + model.log_probs(words[:, 1:])
                kept = grams.log_probs >= around
                kept[: len(is_history)] |= is_history
                is_history = np.zeros(len(model.orders[order - 2].keys), bool)
                is_history[grams.parents[kept]] = True
                rows.insert(1, words[kept])
                log_probs.insert(1, grams.log_probs[kept])
            smaller = NgramModel(self.vocabulary, rows, log_probs)
            if smaller.counts() == model.counts():
                return model
            model = smaller

    def _log_joint(self, rows: np.ndarray) -> np.ndarray:
        """ln P of n-grams as sequences; <s> is as frequent as </s>."""
        first = np.where(rows[:, 0] == self.vocabulary.bos, self.vocabulary.eos, rows[:, 0])
        result = self.orders[0].log_probs[first]
        for length in range(2, rows.shape[1] + 1):
            result = result + self.log_probs(rows[:, :length])
        return result

    def counts(self) -> list[int]:
        """The number of n-grams of each order; <s> is a unigram."""
        return [int(np.isfinite(self.orders[0].log_probs).sum()) + 1, *(len(grams.keys) for grams in self.orders[1:])]

    def write(self, path: Path) -> None:
        """Write an ARPA file, gzipped: complete or not at all; the same model gives the same bytes."""
        lines = ["\\data\\", *(f"ngram {order}={count}" for order, count in enumerate(self.counts(), 1))]
        texts: list[str] = []
        for order, grams in enumerate(self.orders, 1):
            words = [self.vocabulary.words[word] for word in grams.words.tolist()]
            if order > 1:
                parents = grams.parents.tolist()
                words = [f"{texts[parent]} {word}" for parent, word in zip(parents, words, strict=True)]
            texts = words
            log_probs, backoffs = (grams.log_probs / LN10).tolist(), (grams.backoffs / LN10).tolist()
            lines += ["", f"\\{order}-grams:"]
            for number, text in enumerate(texts):
                if order == 1 and not math.isfinite(log_probs[number]):
                    if text != BOS:
                        continue
                    log_probs[number] = -99.0
                backoff = f"\t{backoffs[number]:.6g}" if order < len(self.orders) else ""
                lines.append(f"{log_probs[number]:.6g}\t{text}{backoff}")
        lines += ["", "\\end\\", ""]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, gzip.compress("\n".join(lines).encode(), compresslevel=5, mtime=0))


def read_arpa(path: Path, vocabulary: Vocabulary, with_unknown: bool) -> NgramModel:
    """The model in a file in ARPA format, gzipped or not, as parse_arpa. Raises OSError too."""
    return parse_arpa(stream_lines(path), str(path), vocabulary, with_unknown)


def parse_arpa(lines: Iterable[str], name: str, vocabulary: Vocabulary, with_unknown: bool) -> NgramModel:
    """What a model in ARPA format says of a vocabulary, and of <UNK> if wanted. Raises KaldiError for a damaged one,
    ValueError for one of other words, which name it."""
    numbers = vocabulary.numbers if with_unknown else vocabulary.numbers | {UNKNOWN: -1}
    rows: list[array] = []
    log_probs: list[array] = []
    others: set[str] = set()
    grams = read_ngrams(lines, name)
    for _, order, words, log_prob, _ in grams:
        if not words:
            rows, log_probs = [array("q") for _ in range(order)], [array("d") for _ in range(order)]
            continue
        labels = [numbers.get(word, -1) for word in words]
        if -1 in labels:
            others.update(words if order == 1 else ())
        elif vocabulary.bos not in labels[1:] and vocabulary.eos not in labels[:-1]:
            rows[order - 1].extend(labels)
            log_probs[order - 1].append(log_prob)
    tables = [np.frombuffer(table, np.int64).reshape(-1, order) for order, table in enumerate(rows, 1)]
    _check_words(name, tables, others, vocabulary)
    return NgramModel(vocabulary, tables, [np.frombuffer(values) for values in log_probs])


def _check_words(name: str, tables: list[np.ndarray], others: set[str], vocabulary: Vocabulary) -> None:
    """Raises ValueError where a model has few words of the vocabulary, and says what is the matter."""
    common = len(set(tables[0][:, 0].tolist()) - {vocabulary.bos, vocabulary.eos, vocabulary.unknown}) if tables else 0
    spoken = {word.lower() for word in vocabulary.words[3:]}
    if sum(word.lower() in spoken for word in others) > common:
        upper = sum(word.isupper() for word in vocabulary.words[3:]) > len(spoken) / 2
        case, function = ("upper", "uc") if upper else ("lower", "lc")
        raise ValueError(
            f"{name}: its words are in another case than those of the transcripts; bring them to {case} case: "
            f"perl -pe 'unless (/^(\\\\|ngram )/) {{ $_ = {function}; s/<(.?)s>/<$1s>/gi }}'"
        )
    if not common:
        raise ValueError(f"{name}: no word of the model is in the vocabulary (another language?)")


def mixture(models: Sequence[NgramModel], weights: Sequence[float] | np.ndarray) -> NgramModel:
    """The linear interpolation of models of one vocabulary with weights that sum to one, as a back-off model with the
    n-grams of all (SRILM's ngram -mix-lm)."""
    vocabulary = models[0].vocabulary
    of_weight = [(model, weight) for model, weight in zip(models, weights, strict=True) if weight]
    models, weights = zip(*of_weight, strict=True)
    rows: list[np.ndarray] = []
    for order in range(max(len(model.orders) for model in models), 0, -1):
        parts = [model.rows(order) for model in models if len(model.orders) >= order]
        rows.insert(0, np.unique(np.concatenate(parts), axis=0))
    log_probs = [
        mixed_log_probs(np.column_stack([model.log_probs(part) for model in models]), weights) for part in rows
    ]
    return NgramModel(vocabulary, rows, log_probs)


def mixed_log_probs(log_probs: np.ndarray, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """ln of the weighted sum of probabilities, from their logarithms [N, models]."""
    with np.errstate(divide="ignore"):
        return np.logaddexp.reduce(log_probs + np.log(weights), axis=1)


def events(sentences: Iterable[Sequence[str]], vocabulary: Vocabulary, order: int) -> tuple[np.ndarray, int]:
    """What a model of an order is asked about a text: rows [N, order] of each known word and </s> after the words
    before it, and the number of unknown words. The rows are filled up with <s>, which no n-gram holds twice."""
    rows, unknown = [], 0
    for sentence in sentences:
        numbers = [vocabulary.numbers.get(word, vocabulary.unknown) for word in sentence]
        numbers = [vocabulary.bos] * (order - 1) + numbers + [vocabulary.eos]
        for end in range(order, len(numbers) + 1):
            if numbers[end - 1] == vocabulary.unknown:
                unknown += 1
            else:
                rows.append(numbers[end - order : end])
    return np.array(rows, np.int64).reshape(-1, order), unknown


def perplexity(log_probs: np.ndarray) -> float:
    """The perplexity of events from their log-probabilities."""
    return float(np.exp(-log_probs.mean()))


def best_weights(log_probs: np.ndarray, iterations: int = 100) -> np.ndarray:
    """The weights with which a mixture of models makes events likeliest, by expectation maximisation, from the
    log-probabilities [N, models] that each gives them."""
    weights = np.full(log_probs.shape[1], 1 / log_probs.shape[1])
    for _ in range(iterations):
        with np.errstate(divide="ignore"):
            shares = log_probs + np.log(weights)
        weights = np.exp(shares - np.logaddexp.reduce(shares, axis=1)[:, None]).mean(axis=0)
    return weights
