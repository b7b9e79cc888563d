"""local/audio.py and local/prepare_recordings.py: recordings of any kind become 16 kHz mono, bad ones are named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_dirs import ROOT, assert_fails_in_one_line, run, speech_like, write_data_dir

from local.audio import (
    AudioError,
    Resampler,
    Segment,
    WavWriter,
    archive_of_wavs,
    list_utterances,
    read_audio,
    resample,
    wav_bytes,
    write_audio,
)


@pytest.mark.parametrize(("suffix", "rate", "channels"), [("wav", 16000, 1), ("flac", 44100, 2), ("wav", 8000, 3)])
def test_any_rate_and_channels_become_16_khz_mono(tmp_path: Path, suffix: str, rate: int, channels: int) -> None:
    path = tmp_path / f"tone.{suffix}"
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(path, np.tile(tone[:, None], channels), rate)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert samples.shape == (16000,)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(samples - expected)[500:-500].max() < 2e-3


def test_archives_of_recordings(tmp_path: Path) -> None:
    """Kaldi's form: programs of Kaldi read them too, and so do we those of wav-copy."""
    written = [speech_like(1), 0.5 * speech_like(2)[:9000]]
    with archive_of_wavs(tmp_path / "a:1.ark") as append:
        places = [append(f"u{number}", wav_bytes(samples)) for number, samples in enumerate(written)]
        assert not (tmp_path / "a:1.ark").exists()
    (tmp_path / "wav.scp").write_text(f"u1 {places[1]}\nu0 {places[0]}\n")
    copy = f'. ./path.sh; wav-copy "scp:{tmp_path}/wav.scp" "ark,scp:{tmp_path}/b.ark,{tmp_path}/b.scp"'
    assert run("bash", "-c", copy).returncode == 0
    found = [*places, *(line.split()[1] for line in sorted((tmp_path / "b.scp").read_text().splitlines()))]
    for place, samples in zip(found, 2 * written, strict=True):
        np.testing.assert_allclose(read_audio(place), samples, atol=1e-4)
    content = (tmp_path / "b.ark").read_bytes()
    (tmp_path / "cut.ark").write_bytes(content[:-10])
    for place, message in [
        (f"{tmp_path}/cut.ark:{found[2].rpartition(':')[2]}", "truncated"),
        (f"{tmp_path}/b.ark:1", "no WAV file"),
        (f"{tmp_path}/b.ark:{len(content)}", "no WAV file"),
        (f"{tmp_path}/none.ark:3", "archive cannot be read"),
    ]:
        with pytest.raises(AudioError, match=message):
            read_audio(place)
    with pytest.raises(RuntimeError), archive_of_wavs(tmp_path / "broken.ark") as append:
        append("u0", wav_bytes(written[0]))
        raise RuntimeError
    assert not list(tmp_path.glob("broken*"))


@pytest.mark.parametrize(("rate", "wanted"), [(44100, 16000), (16000, 44100), (8000, 16000), (16000, 16000)])
@pytest.mark.parametrize("length", [1, 100, 50001])
def test_blocks_are_resampled_as_the_whole(rate: int, wanted: int, length: int) -> None:
    random = np.random.default_rng(length)
    samples = random.normal(size=(length, 2)).astype(np.float32)
    resampler = Resampler(rate, wanted, 2)
    parts = [resampler.push(block) for block in np.split(samples, sorted(random.integers(0, length, 9)))]
    found = np.concatenate([*parts, resampler.finish()])
    np.testing.assert_array_equal(found, resample(samples, rate, wanted))


def test_what_soundfile_does_not_read_is_given_to_ffmpeg(tmp_path: Path, monkeypatch) -> None:
    """The ffmpeg of this test reads files that begin with "video"; single files only may be opened by it."""
    soundfile.write(tmp_path / "sound.wav", speech_like(0.5), 16000)
    program = tmp_path / "bin/ffmpeg"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/bash
[[ "$*" == *"-protocol_whitelist file -format_whitelist mov,"*"-i file:/dev/stdin "* ]] || exit 2
[[ $(head -c 5 /dev/stdin) == video ]] && exec cat {tmp_path}/sound.wav
exit 1
"""
    )
    program.chmod(0o755)
    (tmp_path / "a.mp4").write_text("video and sound")
    (tmp_path / "b.mp4").write_text("something else")
    with pytest.raises(AudioError, match="not audio that soundfile reads: .*a.mp4"):
        with monkeypatch.context() as without:
            without.setattr(shutil, "which", lambda name: None)
            read_audio(tmp_path / "a.mp4")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert len(read_audio(tmp_path / "a.mp4")) == 8000
    with pytest.raises(AudioError, match="not audio that soundfile reads: .*b.mp4"):
        read_audio(tmp_path / "b.mp4")


def test_a_wav_file_of_more_than_4_gb_is_rf64(tmp_path: Path) -> None:
    """16 hours of two channels; only the header of it is written here."""
    for frames, kind in ((16 * 3600 * 48000, "RF64"), (3600 * 48000, "WAV")):
        path = tmp_path / f"{kind}.wav"
        writer = WavWriter(path, 48000, 2, frames)
        writer.write(np.full((10, 2), 0.5))
        assert not path.exists()
        writer.finish()
        info = soundfile.info(path)
        assert (info.format, info.frames, info.channels) == (kind, 10, 2)


def test_command_of_wav_scp(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    soundfile.write(tmp_path / "a.wav", speech_like(0.5), 16000)
    assert len(read_audio(f"cat {tmp_path / 'a.wav'} |")) == 8000
    with pytest.raises(AudioError, match="status 3"):
        read_audio("exit 3 |")
    assert not caplog.messages


def test_a_command_that_fails_after_the_whole_recording_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soundfile.write(tmp_path / "a.wav", speech_like(0.5), 16000)
    command = f"cat {tmp_path / 'a.wav'}; exit 3 |"
    assert len(read_audio(command)) == 8000
    assert caplog.messages == [f"command ended with status 3, its output is used: {command}"]
    with pytest.raises(AudioError, match="truncated"):
        read_audio(f"head -c 9000 {tmp_path / 'a.wav'}; exit 3 |")


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "text", "truncated wav", "truncated flac", "header only", "numbers"]
)
def test_bad_recording_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("bad.flac" if "flac" in kind else "bad.wav")
    if kind == "text":
        path.write_text("this is not audio")
    elif kind == "empty":
        path.touch()
    elif kind != "missing":
        soundfile.write(path, speech_like(0 if kind == "header only" else 1), 16000)
    if kind == "numbers":
        soundfile.write(path, np.array([0.0, np.inf]), 16000, subtype="FLOAT")
    if "truncated" in kind:
        path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AudioError, match=path.name):
        read_audio(path)


def test_segments(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", speech_like(2), 16000)
    (tmp_path / "wav.scp").write_text(f"long {tmp_path}/long.wav\n")
    (tmp_path / "segments").write_text("u1 long 0.25 0.75\nu2 long 1.5 -1\nu3 long 5 6\n")
    utterances = list_utterances(tmp_path)
    assert utterances["u1"] == Segment(f"{tmp_path}/long.wav", 0.25, 0.75)
    assert len(utterances["u1"].read()) == 8000
    assert len(utterances["u2"].read()) == 8000
    with pytest.raises(AudioError, match=r"long\.wav"):
        utterances["u3"].read()


def test_segments_of_a_channel_and_past_the_end(tmp_path: Path) -> None:
    left, right = speech_like(1), speech_like(1, seed=1)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], axis=1), 16000)
    (tmp_path / "wav.scp").write_text(f"two {tmp_path}/two.wav\n")
    lines = ["u1 two 0 0.5 1", "u2 two 0 -1 0", "u3 two 0.5 1.4 1", "u4 two 0.5 1.6", "u5 two 0 1 2"]
    (tmp_path / "segments").write_text("".join(f"{line}\n" for line in lines))
    utterances = list_utterances(tmp_path)
    for name, expected in {"u1": right[:8000], "u2": left, "u3": right[8000:]}.items():
        np.testing.assert_allclose(utterances[name].read(), expected, atol=1e-4)
    with pytest.raises(AudioError, match=r"from 0.5 to 1.6 s lies outside its recording of 1 s: .*two\.wav"):
        utterances["u4"].read()
    with pytest.raises(AudioError, match="2 channels, channel 2 is not there"):
        utterances["u5"].read()


@pytest.mark.parametrize("line", ["two 0.5.1 2", "two 1 0.5", "two 0 1 left", "two 0 1 0 0", "other 0 1"])
def test_bad_segment_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "wav.scp").write_text("two two.wav\n")
    (tmp_path / "segments").write_text(f"u1 {line}\n")
    with pytest.raises(ValueError, match="segments: u1 needs"):
        list_utterances(tmp_path)


def test_table_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_bytes("a a.wav\ncafé café.wav\n".encode("latin1"))
    done = run("local/prepare_recordings.py", tmp_path, tmp_path / "wav")
    assert_fails_in_one_line(done, f"{tmp_path}/wav.scp:2: not UTF-8")


def test_write_audio_is_exact_and_refuses_clipping(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.array([0.0, 1.0, -1.0, 0.5]))
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [0, 32767, -32767, 16384]
    with pytest.raises(ValueError, match="full scale"):
        write_audio(tmp_path / "b.wav", np.array([1.5]))
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        # The temporary name of this file is a device that is always full.
        (tmp_path / f"a.wav.tmp{os.getpid()}").symlink_to("/dev/full")
        write_audio(tmp_path / "a.wav", np.zeros(100))
    assert not list(tmp_path.iterdir())


def test_prepare_recordings_converts_what_kaldi_cannot_read(tmp_path: Path) -> None:
    data = write_data_dir(tmp_path / "data", {"s1-a": "ONE", "s1-b": "TWO"})
    soundfile.write(data / "s1-b.wav", np.tile(speech_like(1, 44100)[:, None], 2), 44100)
    done = run("local/prepare_recordings.py", data, tmp_path / "wav")
    assert done.returncode == 0, done.stderr
    first, second = (data / "wav.scp").read_text().splitlines()
    assert first == f"s1-a {data}/s1-a.wav"
    assert second == f"s1-b {tmp_path}/wav/s1-b.wav"
    info = soundfile.info(second.split()[1])
    assert (info.samplerate, info.channels, info.frames) == (16000, 1, 16000)


def test_prepare_recordings_cuts_segments(tmp_path: Path) -> None:
    data = write_data_dir(tmp_path / "data", {"s1-a": "ONE"})
    (data / "segments").write_text("s1-u1 s1-a 0.25 0.75\ns1-u2 s1-a 0.5 -1\ns1-u3 s1-a 7 8\n")
    assert_fails_in_one_line(run("local/prepare_recordings.py", data, tmp_path / "wav"), "s1-u3", "outside")
    assert run("local/prepare_recordings.py", "--skip-bad", "true", data, tmp_path / "wav").returncode == 0
    assert not (data / "segments").exists()
    whole = soundfile.read(data / "s1-a.wav", dtype="int16")[0]
    for line, part in zip((data / "wav.scp").read_text().splitlines(), (whole[4000:12000], whole[8000:]), strict=True):
        np.testing.assert_allclose(soundfile.read(line.split()[1], dtype="int16")[0], part, atol=1)


def test_prepare_recordings_in_jobs(tmp_path: Path) -> None:
    made = []
    for nj in ("1", "2"):
        data = write_data_dir(tmp_path / nj, {"s1-a": "ONE", "s1-b": "TWO", "s1-c": "THREE"})
        (data / "segments").write_text("s1-u1 s1-a 0 0.5\ns1-u2 s1-a 0.5 1\ns1-u3 s1-c 0.1 0.3\n")
        assert run("local/prepare_recordings.py", "--nj", nj, data, data / "made").returncode == 0
        wavs = dict(line.split() for line in (data / "wav.scp").read_text().splitlines())
        made.append({name: Path(wav).read_bytes() for name, wav in wavs.items()})
    assert list(made[0]) == ["s1-u1", "s1-u2", "s1-u3"] and made[0] == made[1]


def test_prepare_recordings_stops_or_skips(tmp_path: Path) -> None:
    data = write_data_dir(tmp_path / "data", {"s1-a": "ONE", "s1-b": "TWO"})
    before = (data / "wav.scp").read_text()
    (data / "s1-b.wav").write_text("no audio")
    assert_fails_in_one_line(run("local/prepare_recordings.py", data, tmp_path / "wav"), "s1-b", f"{data}/s1-b.wav")
    assert (data / "wav.scp").read_text() == before
    assert run("local/prepare_recordings.py", "--skip-bad", "true", data, tmp_path / "wav").returncode == 0
    assert (data / "wav.scp").read_text() == before.splitlines(keepends=True)[0]


def test_reading_audio_does_not_wait_for_what_resamples() -> None:
    """SciPy's signal processing takes a second to import, and most recordings are at 16 kHz already."""
    script = "import sys, local.audio, nnet.segan.signal; sys.exit('scipy.signal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0
