"""egs/mini: the synthetic corpus is deterministic, resumes, and is a sound set of data directories."""

import hashlib
from pathlib import Path

import pytest
import soundfile
from data_dirs import ROOT, run

SIZES = {"train": (3, 0.3), "dev": (1, 0.1), "test": (1, 0.1)}
OPTIONS = [
    part
    for name, (speakers, minutes) in SIZES.items()
    for part in (f"--mini-{name}-speakers", str(speakers), f"--mini-{name}-minutes", str(minutes))
]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.wav")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    done = run("egs/mini/prepare.sh", "--nj", "2", *OPTIONS, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_sizes_and_disjoint_speakers(data: Path) -> None:
    speakers: list[str] = []
    for name, (count, minutes) in SIZES.items():
        lines = (data / name / "spk2utt").read_text().splitlines()
        assert len(lines) == count
        ages = [line.split() for line in (data / name / "spk2age").read_text().splitlines()]
        assert [speaker for speaker, _ in ages] == [line.split()[0] for line in lines]
        assert all(5 <= int(age) < 12 for _, age in ages)
        speakers += [line.split()[0] for line in lines]
        wavs = [line.split()[1] for line in (data / name / "wav.scp").read_text().splitlines()]
        infos = [soundfile.info(wav) for wav in wavs]
        assert {(info.samplerate, info.channels, info.subtype) for info in infos} == {(16000, 1, "PCM_16")}
        assert 60 * minutes <= sum(info.duration for info in infos) <= 60 * minutes + 10 * count
    assert len(set(speakers)) == len(speakers)


def test_every_word_is_in_the_lexicon(data: Path) -> None:
    lexicon = {line.split()[0] for line in (ROOT / "egs/mini/lexicon.txt").read_text().splitlines()}
    grammar_words = {word for name in SIZES for line in (data / name / "text").read_text().splitlines()
                     for word in line.split()[1:]}  # fmt: skip
    assert grammar_words <= lexicon
    dictionary = (data / "local/dict/lexicon.txt").read_text().splitlines()
    assert {"!SIL SIL", "<UNK> SPN", "THE DH AH"} <= set(dictionary)


@pytest.mark.slow
def test_same_seed_same_bytes_with_another_number_of_processes(data: Path, tmp_path: Path) -> None:
    assert run("egs/mini/prepare.sh", "--nj", "1", *OPTIONS, tmp_path).returncode == 0
    assert digests(tmp_path) == digests(data)


@pytest.mark.slow
def test_another_seed_other_bytes(data: Path, tmp_path: Path) -> None:
    assert run("egs/mini/prepare.sh", *OPTIONS, "--mini-seed", "2", tmp_path).returncode == 0
    assert not set(digests(tmp_path).values()) & set(digests(data).values())


@pytest.mark.slow
def test_killed_run_resumes_and_finished_corpus_is_kept(data: Path) -> None:
    whole = digests(data)
    speakers = sorted((data / "local/mini/wav").iterdir())
    kept, lost = speakers[0] / "text", speakers[1]
    stamp = kept.stat().st_mtime_ns
    (lost / "text").unlink()
    next(lost.glob("*.wav")).write_bytes(b"half")
    assert run("egs/mini/prepare.sh", *OPTIONS, data).returncode == 0
    assert digests(data) == whole
    assert kept.stat().st_mtime_ns == stamp


def test_unknown_option(tmp_path: Path) -> None:
    done = run("egs/mini/prepare.sh", "--no-such-option", "1", tmp_path)
    assert done.returncode != 0
    assert "--no-such-option" in done.stderr
