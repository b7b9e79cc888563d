"""Programs that score transcripts: word error rates, their confidence, and alignments of texts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kaldi.base.log import KaldiError, done, warn
from kaldi.util.edit_distance import align, count_errors
from kaldi.util.io import Output
from kaldi.util.kinds import TOKEN_VECTOR
from kaldi.util.table import RandomAccess, program, read_table


def check_mode(mode: str) -> None:
    if mode not in ("strict", "present", "all"):
        raise KaldiError(f"--mode={mode}: expected strict, present or all")


def compute_wer(reference: str, hypothesis: str, *, mode: str = "strict", text: bool = False) -> None:
    """Print the word error rate (WER) and the sentence error rate (SER) of transcripts.

    Usage: compute-wer [options] <ref-rspecifier> <hyp-rspecifier>
    --mode says what a sentence without hypothesis does: strict fails, present leaves it out, all counts it as empty.
    """
    check_mode(mode)
    rate = word_error_rate(reference, hypothesis, mode)
    with Output("-") as output:
        output.write(rate.encode())


def word_error_rate(reference: str, hypothesis: str, mode: str) -> str:
    """What compute-wer prints of transcripts, the tables behind these rspecifiers."""
    hypotheses = RandomAccess(hypothesis, TOKEN_VECTOR)
    words = sentences = wrong_sentences = absent = 0
    errors = np.zeros(4, int)
    for key, wanted in read_table(reference, TOKEN_VECTOR):
        found = hypotheses.get(key)
        if found is None:
            if mode == "strict":
                raise KaldiError(f"{hypothesis} has no hypothesis for {key} (--mode=present or --mode=all allow this)")
            absent += 1
            if mode == "present":
                continue
        words += len(wanted)
        sentences += 1
        errors += count_errors(wanted, found or [])
        wrong_sentences += wanted != (found or [])
    if sentences == 0 or words == 0:
        raise KaldiError(f"{reference} and {hypothesis} share no sentence with words: nothing to score")
    total, insertions, deletions, substitutions = errors
    partial = " [PARTIAL]" if absent else ""
    return (
        f"%WER {100 * total / words:.2f} [ {total} / {words}, {insertions} ins, {deletions} del, "
        f"{substitutions} sub ]{partial}\n"
        f"%SER {100 * wrong_sentences / sentences:.2f} [ {wrong_sentences} / {sentences} ]\n"
        f"Scored {sentences} sentences, {absent} not present in hyp.\n"
    )


def sentence_errors(reference: str, hypotheses: list[str], mode: str) -> np.ndarray:
    """int[sentences, 1 + systems]: the words of each sentence, and the errors of each system in it."""
    tables = [RandomAccess(name, TOKEN_VECTOR) for name in hypotheses]
    rows = []
    for key, wanted in read_table(reference, TOKEN_VECTOR):
        found = [table.get(key) for table in tables]
        if any(words is None for words in found):
            if mode == "strict":
                raise KaldiError(f"{' and '.join(hypotheses)}: no hypothesis for {key} (see --mode)")
            if mode == "present":
                continue
        rows.append([len(wanted), *(count_errors(wanted, words or []).total for words in found)])
    if not rows or not sum(row[0] for row in rows):
        raise KaldiError(f"{reference} and {' and '.join(hypotheses)} share no sentence with words: nothing to score")
    return np.array(rows)


def compute_wer_bootci(
    reference: str, hypothesis: str, hypothesis2: str = "", *, mode: str = "strict", replications: int = 10000
) -> None:
    """Print the 95 % confidence interval of the word error rate, and how probably a second system is the better one.

    Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation".
    Usage: compute-wer-bootci [options] <ref-rspecifier> <hyp-rspecifier> [<hyp2-rspecifier>]
    """
    check_mode(mode)
    if replications < 1:
        raise KaldiError(f"--replications={replications}: expected at least 1")
    from kaldi.util.bootstrap_core import bootstrap

    counts = sentence_errors(reference, [hypothesis, hypothesis2] if hypothesis2 else [hypothesis], mode)
    rounds = np.split(bootstrap(counts, 3 * replications), 3)  # for the first system, the second, and their comparison
    lines = []
    for system in range(1, counts.shape[1]):
        sums = rounds[system - 1]
        rates = 100 * sums[:, system] / sums[:, 0]
        mean, reach = rates.mean(), 1.96 * rates.std()
        lines.append(f"Set{system}: %WER {mean:.2f} 95% Conf Interval [ {mean - reach:.2f}, {mean + reach:.2f} ]\n")
    if hypothesis2:
        lines.append(f"Probability of Set2 improving Set1: {100 * (rounds[2][:, 1] > rounds[2][:, 2]).mean():.2f}\n")
    with Output("-") as output:
        output.write("".join(lines).encode())


@program(TOKEN_VECTOR)
def align_text(
    first: str, second: str, out: str, *, special_symbol: str = "<eps>", separator: str = ";"
) -> Iterator[tuple[str, list[str]]]:
    """Align the words of two texts; --special-symbol stands where only one text has a word.

    Usage: align-text [options] <text1-rspecifier> <text2-rspecifier> <alignment-wspecifier>
    """
    others = RandomAccess(second, TOKEN_VECTOR)
    count = errors = 0
    for key, words in read_table(first, TOKEN_VECTOR):
        other = others.get(key)
        if other is None:
            warn(f"{key} is in {first}, but not in {second}")
            errors += 1
            continue
        if special_symbol in words or special_symbol in other:
            raise KaldiError(f"{key}: the text holds {special_symbol}; choose another --special-symbol")
        pairs = align(words, other, special_symbol)
        yield key, [token for pair in pairs for token in (separator, *pair)][1:]
        count += 1
    done(count, "sentences", errors)
