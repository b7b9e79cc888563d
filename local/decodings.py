"""What local/score.sh left of decodings, and the tables of their test sets."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from local.audio import read_scp

Words = dict[str, list[str]]  # by utterance
LARGE, WHISPER = "_large", "_whisper"  # what ends the names of decodings that a language model or Whisper rescored


class Decoding(NamedTuple):
    """A figure of exp/results.tsv, and where it comes from."""

    system: str
    test_set: str
    condition: str

    @property
    def directory(self) -> Path:
        """Below exp/; what was rescored lies beside what it was made of."""
        system = self.system.removesuffix(LARGE).removesuffix(WHISPER)
        return Path(system, f"decode_{self.data}{self.system.removeprefix(system)}")

    @property
    def data(self) -> str:
        """The name of the data directory."""
        return self.test_set if self.condition == "clean" else f"{self.test_set}_{self.condition}"


def read_words(path: Path) -> Words:
    """A text of Kaldi's form; there may be utterances without words. Raises OSError."""
    fields = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {utterance: words for utterance, *words in filter(None, fields)}


def read_tuned(decode_dir: Path) -> tuple[str, str]:
    """The best language-model weight and word insertion penalty of a scored decoding. Raises OSError."""
    details = decode_dir / "scoring_kaldi/wer_details"
    return (details / "lmwt").read_text().strip(), (details / "wip").read_text().strip()


def read_scored(decode_dir: Path) -> tuple[Words, Words]:
    """Transcripts, and what was heard with the best weight and penalty. Raises OSError.

    As in local/score.sh, utterances that were not recognised at all do not count.
    """
    scoring = decode_dir / "scoring_kaldi"
    weight, penalty = read_tuned(decode_dir)
    heard = read_words(scoring / f"penalty_{penalty}" / f"{weight}.txt")
    transcripts = read_words(scoring / "test_filt.txt")
    return {utterance: words for utterance, words in transcripts.items() if utterance in heard}, heard


def read_of_utterances(data: Path, table: str) -> dict[str, str] | None:
    """A table utt2* or spk2* of a data directory by utterance; None where there is none. Raises OSError, ValueError."""
    path = data / table
    if not path.exists():
        return None
    values = read_scp(path)
    if table.startswith("utt2"):
        return values
    speakers = read_scp(data / "utt2spk")
    return {utterance: values[speaker] for utterance, speaker in speakers.items() if speaker in values}
