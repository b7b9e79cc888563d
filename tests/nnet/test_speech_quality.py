"""The table of speech quality: metrics with a known value, intervals, denoisers not delayed, the whole program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from segan_task import run
from text_files import write_files

from bench import denoisers, speech_quality
from bench.speech_quality import Value, mean_and_interval, noise_removed

RATE = 16000


def speech_like(seconds: float, seed: int) -> np.ndarray:
    """Bursts of a quarter of a second with silence as long between them."""
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * np.random.default_rng(seed).normal(size=len(time)).clip(-3, 3) * (time % 0.5 < 0.25)


def test_noise_removed_in_pauses_alone() -> None:
    clean, noise = speech_like(1, 0), 0.01 * speech_like(1, 1)[::-1]
    noisy = clean + noise
    assert noise_removed(clean, noisy, noisy) == pytest.approx(0)
    assert noise_removed(clean, noisy, clean + 0.1 * noise) == pytest.approx(20, abs=1e-3)
    assert noise_removed(clean, noisy, 3 * clean + 0.1 * noise) == pytest.approx(20, abs=1e-3)
    # Digital silence counts as the rounding of 16 bits, which are 101 dB below full scale.
    pauses = np.mean(noise.reshape(-1, 320)[np.mean(clean.reshape(-1, 320) ** 2, axis=1) == 0] ** 2)
    assert noise_removed(clean, noisy, clean) == pytest.approx(10 * np.log10(pauses) + 101.1, abs=0.1)
    assert np.isnan(noise_removed(np.ones(RATE), noisy, noisy))
    assert np.isnan(noise_removed(clean[:100], noisy[:100], noisy[:100]))


def test_interval_over_speakers() -> None:
    values = np.random.default_rng(0).normal(size=400)
    of_all = [Value(value) for value in values]
    own = [str(number) for number in range(400)]
    mean, half = mean_and_interval(of_all, own)
    assert mean == pytest.approx(values.mean())
    assert half == pytest.approx(1.96 * values.std() / 20, rel=0.1)
    # Four utterances of a speaker that are the same say no more than one of them.
    repeated = [Value(value) for value in values[:100] for _ in range(4)]
    one = mean_and_interval(of_all[:100], own[:100])
    assert mean_and_interval(repeated, [name for name in own[:100] for _ in range(4)]) == pytest.approx(one)


def test_mean_weighs_words_and_leaves_out_what_has_no_value() -> None:
    values = [Value(100.0, 1), Value(0.0, 3), Value(float("nan"), 9)]
    assert mean_and_interval(values, ["a", "b", "c"])[0] == 25
    mean, half = mean_and_interval(values, ["a", "a", "c"])
    assert (mean, np.isnan(half)) == (25, True)  # one speaker says nothing of others
    assert np.isnan(mean_and_interval([Value(float("nan"))], ["a"])).all()


def test_delay_of_a_process_is_undone() -> None:
    late: list[np.ndarray] = [np.zeros(480, np.float32)] * 3

    def process(source: object, target: object) -> None:
        late.append(np.ctypeslib.as_array(source, (480,)).copy())
        np.ctypeslib.as_array(target, (480,))[:] = late.pop(0)

    tone = np.sin(2 * np.pi * 440 * np.arange(5001) / RATE) * np.hanning(5001)
    assert np.abs(denoisers.process_frames(tone, process, 3 * 480) - tone).max() < 0.01  # a sample later would be 0.17


@pytest.mark.parametrize("denoiser", denoisers.DENOISERS, ids=lambda denoiser: denoiser.directory)
def test_denoisers_keep_the_place_of_the_speech(denoiser: denoisers.Denoiser) -> None:
    """A voice-like sound in little noise: what comes out is as long, and correlates best where it was."""
    if not denoisers.is_installed(denoiser.module):
        pytest.skip(f"{denoiser.install} was not done")
    time = np.arange(RATE + 7) / RATE
    voice = sum(np.sin(2 * np.pi * 200 * harmonic * time) / harmonic for harmonic in range(1, 20))
    noisy = 0.1 * voice * np.sin(np.pi * 3 * time) ** 2 + 1e-3 * np.random.default_rng(0).normal(size=len(time))
    enhanced = denoiser.enhance(noisy)
    assert enhanced.shape == noisy.shape
    correlation = [np.dot(enhanced[50:-50], np.roll(noisy, lag)[50:-50]) for lag in range(-40, 41)]
    assert abs(np.argmax(correlation) - 40) <= 1


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """clean, noisy, and the folder `better` with a tenth of the noise: two utterances each of two speakers."""
    names = ["a-1", "a-2", "b-1", "b-2"]
    conditions: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "clean": lambda speech, noise: speech,
        "noisy": lambda speech, noise: speech + noise,
        "better": lambda speech, noise: speech + 0.1 * noise,
    }
    for condition, make in conditions.items():
        folder = tmp_path / condition
        folder.mkdir()
        for seed, name in enumerate(names):
            noise = 0.05 * np.random.default_rng(seed).normal(size=RATE)
            soundfile.write(folder / f"{name}.wav", make(speech_like(1, seed), noise), RATE, subtype="PCM_16")
        (folder / "wav.scp").write_text("".join(f"{name} {folder}/{name}.wav\n" for name in names))
        (folder / "utt2spk").write_text("".join(f"{name} {name[0]}\n" for name in names))
    (tmp_path / "noisy/utt2snr").write_text("a-1 0.1\na-2 5.2\nb-1 -0.3\nb-2 4.1\n")
    return tmp_path


@pytest.fixture
def only_wiener(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (denoisers, speech_quality):
        monkeypatch.setattr(module, "is_installed", lambda package: not package)


def test_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, sets: Path, only_wiener: None) -> None:
    scoring = sets / "decode/scoring_kaldi"
    contents = {
        "wer_details/lmwt": "9\n",
        "wer_details/wip": "0.5\n",
        "test_filt.txt": "a-1 ONE TWO\na-2 ONE\nb-1 ONE\nb-2 TWO\n",
        "penalty_0.5/9.txt": "a-1 ONE\na-2\nb-1 ONE\n",  # b-2 was not decoded
    }
    write_files(scoring, contents)
    options = ("--by-snr", "--wer", f"better={sets}/decode", "--write", sets / "denoised")
    run(monkeypatch, speech_quality, *options, sets / "clean", sets / "noisy", sets / "better")
    shown = capsys.readouterr()
    assert "RNNoise is left out, its package is not installed (pip install --no-deps pyrnnoise)" in shown.err
    title, head, _, noisy, better, wiener, title_0, *rest = [line for line in shown.out.splitlines() if line]
    assert (title, title_0) == ("All: 4 utterances by 2 speakers", "0 dB: 2 utterances by 2 speakers")
    assert [line for line in rest if ":" in line] == ["5 dB: 2 utterances by 2 speakers"]
    columns = [cell.strip() for cell in head.split("|")]
    row = {cells[1].strip(): dict(zip(columns, cells, strict=True))
           for cells in (line.split("|") for line in (noisy, better, wiener))}  # fmt: skip
    assert list(row) == ["noisy", "better", "Wiener filter"]
    assert [float(row[name]["noise removed"].split()[0]) for name in ("noisy", "better")] == pytest.approx(
        [0, 20], abs=0.2
    )
    assert float(row["better"]["SI-SDR"].split("±")[0]) > float(row["noisy"]["SI-SDR"].split("±")[0]) + 15
    assert row["better"]["WER"].split()[0] == "50.0"  # 2 of 4 words
    assert not row["noisy"]["WER"].strip()
    written = sets / "denoised/wiener"
    assert (written / "utt2spk").read_text() == (sets / "clean/utt2spk").read_text()
    assert (written / "spk2utt").read_text() == "a a-1 a-2\nb b-1 b-2\n"
    assert soundfile.info(dict(line.split() for line in (written / "wav.scp").open())["b-2"]).frames == RATE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--wer", "best=decode"), "--wer best=decode: .*noisy, better"),
        (("--wer", "better=/no/decode"), "/no/decode"),
        (("noisy",), "another system of the name noisy"),
    ],
)
def test_bad_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch, sets: Path, only_wiener: None, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(sets)
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, speech_quality, "clean", "noisy", "better", *arguments)
