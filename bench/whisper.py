#!/usr/bin/env python3
"""Whisper itself on Kaldi data directories: word error rate, real-time factor and memory, beside our own words.

Needs faster-whisper (pip install faster-whisper), which the recipe does without. Whisper recognises any word there
is; the recipe's systems know the words of their dictionary only, and speak of nothing else: say so with every
comparison.

Both sides are normalised alike before they are compared: capital letters; numbers in digits spelled out (3 -> THREE,
21st -> TWENTY FIRST, 1990 as a number); contractions undone (I'M -> I AM, CAN'T -> CAN NOT; 'S only of pronouns, it
may be a genitive); what is neither a letter nor an apostrophe within a word is a blank. Words stay as they are
spelled (COLOUR is not COLOR). Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from kaldi.util.edit_distance import count_errors  # noqa: E402
from local.audio import RATE, AudioError, list_utterances  # noqa: E402
from local.data_dir import write_table  # noqa: E402
from local.whole_file import read_lines  # noqa: E402

ONES = """ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE TEN ELEVEN TWELVE THIRTEEN FOURTEEN FIFTEEN SIXTEEN
    SEVENTEEN EIGHTEEN NINETEEN""".split()
TENS = "TWENTY THIRTY FORTY FIFTY SIXTY SEVENTY EIGHTY NINETY".split()
GROUPS = [(10**9, "BILLION"), (10**6, "MILLION"), (1000, "THOUSAND"), (100, "HUNDRED")]
ORDINALS = {
    "ONE": "FIRST",
    "TWO": "SECOND",
    "THREE": "THIRD",
    "FIVE": "FIFTH",
    "EIGHT": "EIGHTH",
    "NINE": "NINTH",
    "TWELVE": "TWELFTH",
}
WHOLE = {"WON'T": "WILL NOT", "CAN'T": "CAN NOT", "CANNOT": "CAN NOT", "SHAN'T": "SHALL NOT", "LET'S": "LET US"}
ENDINGS = {"N'T": " NOT", "'M": " AM", "'RE": " ARE", "'VE": " HAVE", "'LL": " WILL"}
IS = "IT HE SHE THAT WHAT WHERE WHO THERE HERE HOW".split()  # whose 'S is no genitive


def number_words(number: int) -> str:
    """A number below 10^12 in words, without AND."""
    for size, name in GROUPS:
        if number >= size:
            rest = f" {number_words(number % size)}" if number % size else ""
            return f"{number_words(number // size)} {name}{rest}"
    if number < len(ONES):
        return ONES[number]
    return TENS[number // 10 - 2] + (f" {ONES[number % 10]}" if number % 10 else "")


def spell_number(match: re.Match) -> str:
    """Digits, perhaps with ST, ND, RD or TH behind them, in words; longer ones digit by digit."""
    digits, ordinal = match.group(1), match.group(2)
    if len(digits) > 12:
        return f" {' '.join(ONES[int(digit)] for digit in digits)} "
    words = number_words(int(digits)).split()
    if ordinal:
        last = words[-1]
        words[-1] = ORDINALS.get(last, f"{last[:-1]}IETH" if last.endswith("Y") else f"{last}TH")
    return f" {' '.join(words)} "


def expand(word: str) -> str:
    """A word without its contraction."""
    if word in WHOLE:
        return WHOLE[word]
    for ending, meaning in ENDINGS.items():
        if word.endswith(ending) and word != ending:
            return word.removesuffix(ending) + meaning
    return f"{word[:-2]} IS" if word.endswith("'S") and word[:-2] in IS else word


def normalise(text: str) -> list[str]:
    """The words that are compared (see above)."""
    text = text.upper().replace("\u2019", "'")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(\d+)(?:(ST|ND|RD|TH)\b)?", spell_number, text)
    words = (word.strip("'") for word in re.sub(r"[^\w']|_", " ", text).split())
    return [part for word in words if word for part in expand(word).split()]


def read_text(path: Path) -> dict[str, str]:
    """Words by utterance, of a data directory's text or of scoring_kaldi/penalty_*/*.txt; there may be none."""
    fields = (line.split(maxsplit=1) for line in read_lines(path))
    return {field[0]: " ".join(field[1:]) for field in fields}


def error_rate(reference: dict[str, str], hypothesis: dict[str, str]) -> float:
    """Word error rate in per cent, after normalisation; an utterance without a hypothesis is all deletions."""
    errors = words = 0
    for utterance, text in reference.items():
        wanted = normalise(text)
        errors += count_errors(wanted, normalise(hypothesis.get(utterance, ""))).total
        words += len(wanted)
    return 100 * errors / max(words, 1)


def transcribe(model, data: Path, beam_size: int) -> tuple[dict[str, str], float, float]:
    """Whisper's words for each utterance; seconds of speech, and of processor time. Raises AudioError."""
    words, speech, spent = {}, 0.0, 0.0
    for utterance, segment in list_utterances(data).items():
        samples = segment.read()
        began = time.process_time()
        segments, _ = model.transcribe(samples, language="en", beam_size=beam_size)
        words[utterance] = " ".join(part.text.strip() for part in segments)
        spent += time.process_time() - began
        speech += len(samples) / RATE
    return words, speech, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beam-size", type=int, default=5, help="(default %(default)s, faster-whisper's)")
    parser.add_argument("--threads", type=int, default=1, help="(default %(default)s)")
    parser.add_argument("--out", type=Path, help="folder for Whisper's words, <data-dir>.txt; what is there is taken")
    parser.add_argument(
        "--ours",
        type=Path,
        action="append",
        default=[],
        help="a text of another system, such as scoring_kaldi/*/9.txt; once for each data directory",
    )
    parser.add_argument("model", help="folder in CTranslate2's format, or a name of faster-whisper's")
    parser.add_argument("data", type=Path, nargs="+", help="data directories with wav.scp and text")
    arguments = parser.parse_args()
    if arguments.ours and len(arguments.ours) != len(arguments.data):
        parser.error("--ours: once for each data directory")
    try:
        from faster_whisper import WhisperModel
    except ImportError:
        sys.exit("whisper.py: the package faster-whisper is not installed: pip install faster-whisper")

    model = WhisperModel(arguments.model, device="cpu", compute_type="int8", cpu_threads=arguments.threads)
    print("| data | system | WER % | processor time / speech | MiB |\n|---|---|---|---|---|")
    for number, data in enumerate(arguments.data):
        reference = read_text(data / "text")
        kept = arguments.out / f"{data.name}.txt" if arguments.out else None
        if kept and kept.exists():
            words, cost = read_text(kept), "| | |"
        else:
            words, speech, spent = transcribe(model, data, arguments.beam_size)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            cost = f"| {spent / speech:.3f} | {memory} |"
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_table(kept, [f"{utterance} {text}".strip() for utterance, text in words.items()])
        print(f"| {data.name} | {Path(arguments.model).name} | {error_rate(reference, words):.2f} {cost}", flush=True)
        if arguments.ours:
            ours = arguments.ours[number]
            print(f"| {data.name} | {ours} | {error_rate(reference, read_text(ours)):.2f} | | |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, AudioError) as error:
        sys.exit(f"whisper.py: {error}")
