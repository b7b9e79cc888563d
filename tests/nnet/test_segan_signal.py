"""Windows, overlap-add, metrics, configuration and the pairing of recordings; none of it needs TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from local.audio import AudioError, Segment
from nnet.segan.config import load_config, read_config
from nnet.segan.evaluate import choose, result_lines, snr_band
from nnet.segan.make_tfrecords import read_sets
from nnet.segan.metrics import si_sdr, stoi
from nnet.segan.pictures import smooth
from nnet.segan.recordings import find_recordings, pair_recordings, read_pair
from nnet.segan.signal import cut_windows, deemphasise, overlap_add, preemphasise, window_starts

CONF = Path("conf/segan.toml")


def test_windows_cover_everything_once_or_twice() -> None:
    assert list(window_starts(10, 16, 8)) == [0]
    assert list(window_starts(16, 16, 8)) == [0]
    assert list(window_starts(17, 16, 8)) == [0, 8]
    windows = cut_windows(np.arange(20), 8, 4)
    np.testing.assert_array_equal(windows, [np.arange(start, start + 8) for start in (0, 4, 8, 12)])
    np.testing.assert_array_equal(cut_windows(np.arange(1, 4), 8, 4), [[1, 2, 3, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize("length", [5, 16, 17, 100, 1000])
@pytest.mark.parametrize("hop", [4, 8, 12, 16])
def test_overlap_add_gives_a_ramp_back(length: int, hop: int) -> None:
    ramp = np.arange(length, dtype=np.float32)
    np.testing.assert_array_equal(overlap_add(cut_windows(ramp, 16, hop), hop, length), ramp)


def test_overlap_add_fades_between_windows_that_differ() -> None:
    joined = overlap_add(np.array([[0.0] * 16, [1.0] * 16]), 8, 24)
    assert joined[:8].max() == 0
    assert joined[16:].min() == 1
    assert np.abs(np.diff(joined)).max() < 0.25  # a cut would be a step of 1


def test_deemphasis_undoes_preemphasis() -> None:
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    emphasised = preemphasise(x, 0.95)
    assert emphasised[0] == x[0]
    assert emphasised[5] == pytest.approx(x[5] - 0.95 * x[4], abs=1e-6)
    np.testing.assert_allclose(deemphasise(emphasised, 0.95), x, atol=1e-5)


def test_si_sdr_of_orthogonal_noise_is_the_snr() -> None:
    time = np.arange(16000) / 16000
    clean, noise = np.sin(2 * np.pi * 100 * time), np.sin(2 * np.pi * 200 * time)
    assert si_sdr(clean, 3 * (clean + noise / np.sqrt(10))) == pytest.approx(10, abs=1e-6)
    assert stoi(clean + 0.01 * np.random.default_rng(0).normal(size=16000), clean, 16000) > 0
    assert np.isnan(stoi(clean[:100], clean[:100], 16000))


def test_pesq_of_a_recording_itself_is_the_best_there_is() -> None:
    pytest.importorskip("pesq")
    from nnet.segan.metrics import pesq

    speech = np.random.default_rng(0).normal(size=16000) * (1 + np.sin(np.arange(16000) / 800)) * 0.05
    assert pesq(speech, speech, 16000) > 4.5


def test_result_lines_leave_out_what_could_not_be_measured() -> None:
    rows = [{"PESQ": float("nan"), "SI-SDR": 1.0}, {"PESQ": 2.0, "SI-SDR": 2.0}]
    assert result_lines(rows, "dev", "noisy") == ["-\tdev\tnoisy\tPESQ\t2.000", "-\tdev\tnoisy\tSI-SDR\t1.500"]
    assert [snr_band(snr, 5) for snr in (-5.0, -0.4, 7.6)] == ["-5dB", "0dB", "10dB"]
    assert choose(list("abcde"), 3) == ["a", "c", "e"]
    assert choose(list("ab"), 0) == ["a", "b"]


def test_smoothing_is_unbiased_at_the_start() -> None:
    np.testing.assert_allclose(smooth(np.array([2.0, 2.0, 2.0])), 2)
    np.testing.assert_allclose(smooth(np.array([0.0, 3.0])), [0, 2])


def test_configurations(tmp_path: Path) -> None:
    for name in ("published", "plus", "small", "noise"):
        config = read_config(CONF, name)
        config.save(tmp_path)
        assert load_config(tmp_path) == config
    with pytest.raises(ValueError, match="no configuration 'huge'; there are: published, plus, small, noise"):
        read_config(CONF, "huge")
    with pytest.raises(ValueError, match="window 1000 cannot"):
        read_config(CONF, "small").with_overrides(window=1000)
    with pytest.raises(ValueError, match="no SEGAN was trained there"):
        load_config(tmp_path / "nothing")
    (tmp_path / "bad.toml").write_text(CONF.read_text().replace("kernel = 31", "kernal = 31"))
    with pytest.raises(ValueError, match="unknown or missing: kernal, kernel"):
        read_config(tmp_path / "bad.toml", "small")


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def test_data_directories_and_folders_pair_up_or_say_what_is_lonely(tmp_path: Path) -> None:
    samples = np.linspace(-0.5, 0.5, 32000)
    for name in ("clean/a.wav", "clean/deep/b.flac", "noisy/a.wav"):
        write_wav(tmp_path / name, samples)
    assert list(find_recordings(tmp_path / "clean")) == ["a.wav", "deep/b.flac"]
    with pytest.raises(ValueError, match=r"do not pair up: deep/b.flac \(only in .*clean\)"):
        pair_recordings(tmp_path / "clean", tmp_path / "noisy")
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text(f"rec {tmp_path}/clean/a.wav\n")
    assert find_recordings(data)["rec"].read(16000).shape == (32000,)
    (data / "segments").write_text("utt1 rec 0.5 1.5\n")
    cut = find_recordings(data)["utt1"].read(16000)
    np.testing.assert_allclose(cut, samples[8000:24000], atol=1e-4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither a Kaldi data directory"):
        find_recordings(tmp_path / "empty")


def test_pairs_of_different_length_and_samples_that_are_no_numbers(tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", np.zeros(200))
    write_wav(tmp_path / "short.wav", np.zeros(150))
    pair = Segment(str(tmp_path / "long.wav")), Segment(str(tmp_path / "short.wav"))
    with pytest.raises(ValueError, match="x: clean has 200 samples and noisy 150; --cut"):
        read_pair("x", pair, 16000, cut=False)
    assert [len(side) for side in read_pair("x", pair, 16000, cut=True)] == [150, 150]
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="not numbers: .*nan.wav"):
        Segment(str(tmp_path / "nan.wav")).read(16000)


def test_a_cfg_of_several_sets(tmp_path: Path) -> None:
    for name in ("c1/a.wav", "n1/a.wav", "c2/a.wav", "n2/a.wav"):
        write_wav(tmp_path / name, np.zeros(100))
    cfg = tmp_path / "sets.cfg"
    cfg.write_text("".join(f'[set{n}]\nclean = "{tmp_path}/c{n}"\nnoisy = "{tmp_path}/n{n}"\n' for n in (1, 2)))
    assert list(read_sets(cfg)) == ["set1/a.wav", "set2/a.wav"]
    cfg.write_text('[set]\nclean = "x"\n')
    with pytest.raises(ValueError, match="set 'set' needs a clean and a noisy directory"):
        read_sets(cfg)
