#!/usr/bin/env python3
"""Lay out the children of speechocean762 as CMU Kids (LDC97S63) and CSLU Kids (LDC2007S18), every other child in each.

Writes what the data preparation of Kaldi's egs/cmu_cslu_kids reads: cmu_kids/{kids,tables} with SPHERE files, and
cslu/{speech,docs}. In both corpora the name of a recording tells the child and the sentence.
Also writes text, what is said in all recordings, as Kaldi's.
"""

from __future__ import annotations

import argparse
import string
import sys
from itertools import islice, product
from pathlib import Path

import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from egs.speechocean762.prepare_data import children, read_set, utterances_of
from local.data_dir import Utterance
from local.whole_file import write_file

# Characters of the ids, which Kaldi's scripts look for anywhere in the list of sentences: no id is part of a sentence.
CMU_SENTENCES = (string.digits, string.ascii_lowercase, string.ascii_lowercase)
CSLU_SENTENCES = (string.digits + string.ascii_lowercase,) * 2


def read_children(corpus_dir: Path, oldest: int) -> list[tuple[str, int, list[Utterance]]]:
    """Gender (m or f), age in years and utterances of each child of both sets, sorted. Raises OSError, ValueError."""
    found = []
    for name in ("train", "test"):
        tables = read_set(corpus_dir, name)
        for speaker in children(tables, oldest):
            utterances = {utterance.words: utterance for utterance in utterances_of(corpus_dir, tables, {speaker})}
            found.append((tables["spk2gender"][speaker], int(tables["spk2age"][speaker]), list(utterances.values())))
    return found


def shortest(utterances: list[Utterance], count: int | None) -> list[Utterance]:
    """So many of the utterances, or all, sorted."""
    return sorted(sorted(utterances, key=lambda utterance: utterance.recording.stat().st_size)[:count])


def number_sentences(utterances: list[Utterance], characters: tuple[str, ...]) -> dict[str, str]:
    """An id for each different sentence. Raises ValueError where there are more than ids."""
    sentences = list(dict.fromkeys(utterance.words for utterance in utterances))
    ids = ["".join(several) for several in islice(product(*characters), len(sentences))]
    if len(ids) < len(sentences):
        raise ValueError(f"{len(sentences)} sentences are more than the {len(ids)} ids that there are for them")
    return dict(zip(sentences, ids, strict=True))


def write_cmu_kids(folder: Path, group: list[tuple[str, int, list[Utterance]]]) -> None:
    """kids/SPEAKER/{signal,trans} and tables/sentence.tbl: id, characters and sentence between tabs."""
    ids = number_sentences([utterance for _, _, utterances in group for utterance in utterances], CMU_SENTENCES)
    letters = product(string.ascii_lowercase, repeat=3)
    for (gender, _, utterances), name in zip(group, letters, strict=False):
        speaker = gender + "".join(name)
        for kind in ("signal", "trans"):
            (folder / "kids" / speaker / kind).mkdir(parents=True)
        for utterance in utterances:
            recording = f"{speaker}{ids[utterance.words]}1"
            samples, rate = soundfile.read(utterance.recording, dtype="int16")
            soundfile.write(folder / "kids" / speaker / "signal" / f"{recording}.sph", samples, rate, format="NIST")
            write_file(folder / "kids" / speaker / "trans" / f"{recording}.trn", utterance.words.lower() + "\n")
    (folder / "tables").mkdir()
    lines = [f"{number}\t{len(words)}\t{words.lower()}\n" for words, number in ids.items()]
    write_file(folder / "tables/sentence.tbl", "".join(lines))


def write_cslu_kids(folder: Path, group: list[tuple[str, int, list[Utterance]]]) -> None:
    """speech/scripted/GRADE/0/SPEAKER with links to the recordings, and docs/all.map: ids and quoted sentences."""
    ids = number_sentences([utterance for _, _, utterances in group for utterance in utterances], CSLU_SENTENCES)
    for number, (_, age, utterances) in enumerate(group):
        speaker = f"ks{number:03d}"
        speech = folder / "speech/scripted" / f"{age - 5:02d}" / "0" / speaker
        speech.mkdir(parents=True)
        for utterance in utterances:
            (speech / f"{speaker}{ids[utterance.words]}0.wav").symlink_to(utterance.recording)
    (folder / "docs").mkdir()
    lines = [f'{number.upper()} "{words.lower()}"\n' for words, number in ids.items()]
    write_file(folder / "docs/all.map", "".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-utts", type=int, help="the shortest of each child (default: all)")
    parser.add_argument("--oldest-child", type=int, default=15, help="age in years (default 15)")
    parser.add_argument("corpus_dir", type=Path, help="speechocean762, with WAVE, train and test")
    parser.add_argument("out_dir", type=Path, help="folder that does not exist yet")
    arguments = parser.parse_args()
    found = read_children(arguments.corpus_dir.resolve(), arguments.oldest_child)
    group = [(gender, age, shortest(utterances, arguments.max_utts)) for gender, age, utterances in found]
    write_cmu_kids(arguments.out_dir / "cmu_kids", group[::2])
    write_cslu_kids(arguments.out_dir / "cslu", group[1::2])
    texts = [f"{utterance.name} {utterance.words}\n" for _, _, utterances in group for utterance in utterances]
    write_file(arguments.out_dir / "text", "".join(texts))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError, soundfile.SoundFileError) as failure:
        sys.exit(f"kids_corpora.py: {failure}")
