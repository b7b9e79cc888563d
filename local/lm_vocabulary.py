#!/usr/bin/env python3
"""List the likeliest words of texts and ready language models that a lexicon lacks, one a line, likeliest first.

Words of texts come first, the most frequent before the others; those that are said once are left out, as many of them
are misspelt. Then come words of ready models and of the background model, by the probability of their unigrams. A word
is of letters and apostrophes, in the case of the lexicon's words.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.base.log import KaldiError
from kaldi.lm.arpa import read_ngrams
from local.english_lm import model_file, read_trie
from local.ngram_model import UNKNOWN
from local.normalise_text import PARTS, case_of, normalise
from local.train_lm import read_vocabulary
from local.whole_file import stream_lines, write_file

LEAST_COUNT = 2  # of a text's word

log = logging.getLogger("lm_vocabulary.py")


def text_words(paths: list[Path], vocabulary: set[str]) -> list[str]:
    """The words of sentences, as local/normalise_text.py makes them, that occur often enough, most frequent first."""
    case, counts, changes = case_of(vocabulary), Counter[str](), Counter[str]()
    for path in paths:
        for line in stream_lines(path):
            counts.update(normalise(line, vocabulary, case, changes))
    del counts[UNKNOWN]
    frequent = [word for word, count in counts.items() if count >= LEAST_COUNT]
    return sorted(frequent, key=lambda word: (-counts[word], word))


def unigrams(path: Path) -> Iterator[tuple[str, float]]:
    """The words of an ARPA model with their log-probabilities. Raises OSError, KaldiError."""
    for _, order, words, log_prob, _ in read_ngrams(stream_lines(path), str(path)):
        if len(words) == 1:
            yield words[0], log_prob
        elif words and order > 1:
            return


def model_words(paths: list[Path], background: str, vocabulary: set[str]) -> list[str]:
    """The words of ready models, the likeliest in any of them first."""
    case, best = case_of(vocabulary), dict[str, float]()
    of_models = [gram for path in paths for gram in unigrams(path)]
    if background == "english":
        trie = read_trie(model_file())
        of_models += zip(map(case, trie.words), trie.log_probs[0].tolist(), strict=True)
    for word, log_prob in of_models:
        if PARTS.fullmatch(word):
            best[word] = max(log_prob, best.get(word, -math.inf))
    return sorted(best, key=lambda word: (-best[word], word))


def files(names: str) -> list[Path]:
    return [Path(name) for name in names.split(",") if name]


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=files, default=[], help="sentences, one a line: files with commas between")
    parser.add_argument("--arpa", type=files, default=[], help="models in ARPA format: files with commas between")
    parser.add_argument("--background", choices=["none", "english"], default="none", help="pocketsphinx's model")
    parser.add_argument("--words", type=int, required=True, help="how many the lexicon and the list have at most")
    parser.add_argument("lexicon", type=Path)
    parser.add_argument("list", type=Path, help="the list to write")
    arguments = parser.parse_args()
    known = read_vocabulary(arguments.lexicon)
    words = text_words(arguments.text, known) + model_words(arguments.arpa, arguments.background, known)
    new = [word for word in dict.fromkeys(words) if word not in known][: max(arguments.words - len(known), 0)]
    write_file(arguments.list, "".join(f"{word}\n" for word in new))
    log.info("%s: %d words besides the %d of %s", arguments.list, len(new), len(known), arguments.lexicon)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KaldiError) as failure:
        sys.exit(f"lm_vocabulary.py: {failure}")
