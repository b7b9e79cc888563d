"""Whisper's decoder as a second opinion: steps/whisper_rescore.sh."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest
import soundfile
from encoder_task import tiny_encoder
from scripts import ROOT, run

GOLDEN = ROOT / "tests/kaldi/golden"


def best(folder: Path) -> list[str]:
    done = run("lattice-best-path", "--acoustic-scale=0.1", f"ark:gunzip -c {folder}/lat.1.gz |", "ark,t:-")
    return done.stdout.splitlines()


def costs(folder: Path) -> dict[str, float]:
    """The graph cost of each utterance's best path."""
    paths = f"ark:gunzip -c {folder}/lat.1.gz |"
    done = run(
        "bash",
        "-c",
        'lattice-1best --acoustic-scale=0.1 "$0" ark:- | nbest-to-linear ark:- ark:/dev/null "" ark,t:-',
        paths,
    )
    return {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}


@pytest.mark.slow
def test_the_words_of_n_best_lists_get_whispers_costs(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    whisper = tiny_encoder(tmp_path / "tiny")
    source, data = tmp_path / "decode", tmp_path / "data"
    source.mkdir()
    data.mkdir()
    (source / "num_jobs").write_text("1\n")
    lattices = lzma.decompress((GOLDEN / "out/gmm-latgen-faster_deep/lat.ark.xz").read_bytes())
    (source / "lat.1.gz").write_bytes(gzip.compress(lattices))
    utterances = [line.split()[0] for line in best(source)]
    soundfile.write(data / "u.wav", np.random.default_rng(1).normal(0, 0.1, 16000), 16000)
    (data / "wav.scp").write_text("".join(f"{utterance} {data}/u.wav\n" for utterance in utterances))
    rescore = ("steps/whisper_rescore.sh", "--skip-scoring", "true", "--n", 5)
    run(*rescore, "--weight", 0, whisper, GOLDEN / "lang", data, source, tmp_path / "same")
    assert best(tmp_path / "same") == best(source)
    run(*rescore, whisper, GOLDEN / "lang", data, source, tmp_path / "whisper")
    before, after = costs(source), costs(tmp_path / "whisper")
    assert before.keys() == after.keys()
    assert all(after[utterance] > before[utterance] + 1 for utterance in utterances)
    assert not list((tmp_path / "whisper").glob("nbest.*"))

    assert "would be overwritten" in run(*rescore, whisper, GOLDEN / "lang", data, source, source, fails=True).stderr
