"""Noise: disjoint lists, the ratio that was asked for, no clipping, the same draw every time."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_dirs import assert_fails_in_one_line, run, speech_like, write_data_dir

from local import split_noise
from local.add_noise import active_power, add_noise
from local.audio import AudioError, list_utterances
from local.mixture import add_talkers, reverberate


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data_dir(tmp_path / "clean", {"s1-a": "ONE", "s1-b": "TWO", "s1-c": "THREE"})


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    folder = tmp_path / "noise"
    (folder / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(5):
        name = f"deeper/n{number}.flac" if number % 2 else f"n{number}.wav"
        soundfile.write(folder / name, 0.1 * rng.normal(size=(22050, 2)).clip(-3, 3), 22050)
    (folder / "readme.txt").write_text("not a noise")
    assert run("local/prepare_noise.sh", "--noise-dir", folder, tmp_path / "lists").returncode == 0
    return tmp_path / "lists"


def test_lists_are_disjoint_and_complete(noises: Path) -> None:
    lists = [(noises / f"{name}.list").read_text().split() for name in ("train", "dev", "test")]
    assert [len(paths) for paths in lists] == [3, 1, 1]
    assert len({path for paths in lists for path in paths}) == 5


def test_too_few_noises(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", speech_like(1), 16000)
    assert_fails_in_one_line(run("local/prepare_noise.sh", "--noise-dir", tmp_path, tmp_path / "lists"), "at least 3")
    assert_fails_in_one_line(run("local/prepare_noise.sh", "--noise-dir", "/no/dir", tmp_path / "lists"), "/no/dir")


def write_noises(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        soundfile.write(folder / name, speech_like(0.1, seed=number), 16000)
    return folder


def test_several_folders_have_every_file_in_one_set(tmp_path: Path) -> None:
    first = write_noises(tmp_path / "first one", [f"n{number}.wav" for number in range(4)])
    second = write_noises(tmp_path / "second", [f"a{number}.wav" for number in range(3)])
    (second / "again.wav").symlink_to(first / "n0.wav")
    (second / "._a0.wav").write_bytes(b"what a Mac leaves")
    folders = f"{first},{second},{first},"
    assert run("local/prepare_noise.sh", "--noise-dir", folders, tmp_path / "lists").returncode == 0
    lists = {
        name: [Path(line).name for line in (tmp_path / f"lists/{name}.list").read_text().splitlines()]
        for name in ("train", "dev", "test")
    }
    assert lists == {
        "train": ["n0.wav", "n3.wav", "a0.wav", "a1.wav"],
        "dev": ["n1.wav", "a2.wav"],
        "test": ["n2.wav"],
    }


def test_bad_noise_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def assert_refused(folders: list[Path], message: str) -> None:
        monkeypatch.setattr("sys.argv", ["split_noise.py", *map(str, folders), str(tmp_path / "lists")])
        with pytest.raises((ValueError, AudioError), match=message):
            split_noise.main()
        assert not (tmp_path / "lists").exists()

    one = write_noises(tmp_path / "one", ["one.wav"])
    assert_refused([one], r"1 noise recording\(s\) in .*/one, .* cannot be split .* at least 3")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("no noise")
    assert_refused([one, tmp_path / "empty"], "/empty holds no noise recordings")
    folder = write_noises(tmp_path / "folder", ["a.wav", "b.wav", "c.wav"])
    left = speech_like(1)
    soundfile.write(folder / "d.wav", np.stack([left, -left], axis=1), 44100)  # silent once it is mono
    assert_refused([folder], "silent.*d.wav")
    (folder / "d.wav").write_text("not audio")
    assert_refused([folder], "not audio.*d.wav")


def test_noises_of_any_rate_channels_and_length(data: Path, tmp_path: Path) -> None:
    """A hum of 1 kHz in 48 kHz stereo, shorter than the speech, is one of 1 kHz in the noisy recording."""
    hum = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(4800) / 48000)
    soundfile.write(tmp_path / "hum.flac", np.stack([hum, hum], axis=1), 48000)
    (tmp_path / "list").write_text(f"{tmp_path}/hum.flac\n")
    assert run("local/add_noise.py", "--snr", "-40", data, tmp_path / "list", tmp_path / "n").returncode == 0
    noisy, rate = soundfile.read(tmp_path / "n/wav/s1-a.wav")
    assert (noisy.shape, rate) == ((16000,), 16000)
    assert np.abs(np.fft.rfft(noisy)).argmax() == 1000


@pytest.mark.parametrize("snr", [-5.0, 0.0, 15.0])
def test_ratio_counts_active_speech_only(snr: float) -> None:
    speech, noise = speech_like(2) * 0.1, speech_like(2, seed=1)
    added = add_noise(speech, noise, snr) - speech
    assert 10 * np.log10(active_power(speech) / np.mean(added**2)) == pytest.approx(snr, abs=1e-6)
    # Half of this signal is pauses, so its speech is 3 dB above the mean of the whole.
    assert 10 * np.log10(active_power(speech) / np.mean(speech**2)) == pytest.approx(3, abs=0.3)


def test_sum_is_scaled_instead_of_clipped() -> None:
    speech = speech_like(1) * 3
    noisy = add_noise(speech, speech_like(1, seed=1), -5)
    assert np.abs(noisy).max() == pytest.approx(0.99)


def test_noisy_copy(data: Path, noises: Path, tmp_path: Path) -> None:
    (data / "spk2warp").write_text("s1 0.9\n")
    (data / "utt2uniq").write_text("s1-a a\ns1-b b\ns1-c c\n")
    for target, nj in (("noisy", "1"), ("again", "2")):
        done = run("local/add_noise.py", "--nj", nj, "--snr-low", "0", "--snr-high", "5", data, noises / "test.list",
                   tmp_path / target)  # fmt: skip
        assert done.returncode == 0, done.stderr
    noisy = tmp_path / "noisy"
    for table in ("text", "utt2spk", "spk2utt", "spk2warp", "utt2uniq"):
        assert (noisy / table).read_text() == (data / table).read_text()
    ratios = [float(line.split()[1]) for line in (noisy / "utt2snr").read_text().splitlines()]
    assert len(set(ratios)) == 3
    assert all(0 <= ratio <= 5 for ratio in ratios)
    for utterance in ("s1-a", "s1-b", "s1-c"):
        assert soundfile.info(noisy / "wav" / f"{utterance}.wav").frames == 16000
        assert (noisy / f"wav/{utterance}.wav").read_bytes() == (tmp_path / f"again/wav/{utterance}.wav").read_bytes()
    assert run("utils/validate_data_dir.sh", "--no-feats", noisy).returncode == 0


@pytest.mark.slow
def test_noisy_copy_in_archives(data: Path, noises: Path, tmp_path: Path) -> None:
    """One for each job, with the recordings that are files otherwise."""
    command = ["local/add_noise.py", data, noises / "test.list"]
    assert run(*command, tmp_path / "files").returncode == 0
    for nj in (3, 2):
        done = run(*command, tmp_path / "n", "--archives", "true", "--nj", str(nj))
        assert done.returncode == 0, done.stderr
        wav = tmp_path / "n/wav"
        assert sorted(path.name for path in wav.iterdir()) == [f"wav.{job}.ark" for job in range(1, nj + 1)]
    assert (tmp_path / "n/utt2snr").read_text() == (tmp_path / "files/utt2snr").read_text()
    found, wanted = (list_utterances(tmp_path / name) for name in ("n", "files"))
    assert list(found) == list(wanted)
    for utterance, segment in found.items():
        np.testing.assert_array_equal(segment.read(), wanted[utterance].read())
    assert run("utils/validate_data_dir.sh", "--no-feats", tmp_path / "n").returncode == 0


def test_one_ratio(data: Path, noises: Path, tmp_path: Path) -> None:
    assert run("local/add_noise.py", "--snr", "10", data, noises / "test.list", tmp_path / "n").returncode == 0
    assert (tmp_path / "n/utt2snr").read_text() == "s1-a 10.00\ns1-b 10.00\ns1-c 10.00\n"


def test_nothing_is_written_over_the_clean_speech(data: Path, noises: Path) -> None:
    assert_fails_in_one_line(run("local/add_noise.py", data, noises / "test.list", data), "source and destination")
    assert (data / "wav.scp").exists()


def test_tables_of_an_earlier_run_go(data: Path, noises: Path, tmp_path: Path) -> None:
    (tmp_path / "n").mkdir()
    (tmp_path / "n/utt2dur").write_text("s1-x 1.0\n")
    (tmp_path / "list").write_text((noises / "test.list").read_text().splitlines()[0])  # without a line's end
    assert run("local/add_noise.py", data, tmp_path / "list", tmp_path / "n").returncode == 0
    assert run("utils/validate_data_dir.sh", "--no-feats", tmp_path / "n").returncode == 0


def test_bad_recording_stops_or_is_skipped(data: Path, noises: Path, tmp_path: Path) -> None:
    (data / "s1-b.wav").write_bytes((data / "s1-b.wav").read_bytes()[:1000])
    command = ["local/add_noise.py", data, noises / "test.list", tmp_path / "n"]
    assert_fails_in_one_line(run(*command), "s1-b", f"{data}/s1-b.wav")
    assert not (tmp_path / "n/wav.scp").exists()
    assert run(*command, "--skip-bad", "true").returncode == 0
    assert (tmp_path / "n/spk2utt").read_text() == "s1 s1-a s1-c\n"
    assert run("utils/validate_data_dir.sh", "--no-feats", tmp_path / "n").returncode == 0


@pytest.mark.slow
def test_bad_recording_in_a_job_is_named_as_well(data: Path, noises: Path, tmp_path: Path) -> None:
    (data / "s1-b.wav").write_bytes(b"")
    command = ["local/add_noise.py", "--nj", "2", data, noises / "test.list", tmp_path / "n"]
    done = run(*command)
    assert_fails_in_one_line(done, "s1-b", "--skip-bad true leaves such utterances out")
    assert done.stderr.count("\n") == 1
    assert run(*command, "--skip-bad", "true").returncode == 0
    assert (tmp_path / "n/spk2utt").read_text() == "s1 s1-a s1-c\n"


def test_silent_noise_is_named(data: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000), 16000)
    (tmp_path / "list").write_text(f"{tmp_path}/silence.wav\n")
    done = run("local/add_noise.py", data, tmp_path / "list", tmp_path / "n")
    assert_fails_in_one_line(done, "silence.wav", "silent")


@pytest.mark.slow
def test_synthetic_noises(tmp_path: Path) -> None:
    command = ["local/make_noise.py", "--files", "1", "--seconds", "2"]
    assert run(*command, tmp_path / "a").returncode == 0
    assert run(*command, "--nj", "1", tmp_path / "b").returncode == 0
    names = sorted(path.name for path in (tmp_path / "a").glob("*.wav"))
    kinds = ("babble", "classroom", "colour", "door", "hum", "toys")
    assert names == [f"{kind}01.wav" for kind in kinds]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        samples, rate = soundfile.read(tmp_path / "a" / name)
        assert (rate, len(samples)) == (16000, 32000)
        assert 0.01 < np.sqrt(np.mean(samples**2)) <= 0.101


def test_speech_in_a_room_stays_where_it_is_and_as_loud() -> None:
    speech = speech_like(1)
    room = np.zeros(4000)
    room[[50, 450]] = -0.5, 0.25  # the direct sound, and a reflection after 25 ms
    heard = reverberate(speech, room)
    wanted = speech.copy()
    wanted[400:] -= 0.5 * speech[:-400]
    np.testing.assert_allclose(heard, wanted, atol=1e-12)


def test_talkers_in_the_noise() -> None:
    rng = np.random.default_rng(0)
    noise, talker = rng.normal(size=8000), np.sin(np.arange(3000) * 0.3)
    spectrum = np.abs(np.fft.rfft(add_talkers(noise, [talker, talker], rng))) ** 2
    voice = round(0.3 * 8000 / (2 * np.pi))
    share = spectrum[voice - 5 : voice + 6].sum() / spectrum.sum()
    ratio = share / (1 - share)
    assert 10**-0.7 < ratio < 10**0.7  # 6 dB either way, and a little of the noise


@pytest.mark.slow
def test_simulated_rooms(tmp_path: Path) -> None:
    pytest.importorskip("pyroomacoustics")
    command = ["local/make_rooms.py", "--rooms", "2", "--seed", "3"]
    assert run(*command, tmp_path / "a").returncode == 0
    assert run(*command, "--nj", "1", tmp_path / "b").returncode == 0
    lines = [line.split("\t") for line in (tmp_path / "a/rooms.tsv").read_text().splitlines()]
    assert lines[0] == ["room", "length_m", "width_m", "height_m", "distance_m", "t60_s"]
    assert [line[0] for line in lines[1:]] == ["room001", "room002"]
    for room, *_, t60 in lines[1:]:
        assert 0.2 < float(t60) < 1.5
        response, rate = soundfile.read(tmp_path / f"a/{room}.wav")
        np.testing.assert_array_equal(response, soundfile.read(tmp_path / f"b/{room}.wav")[0])
        late = response[np.abs(response).argmax() + round(float(t60) * rate) :]
        assert rate == 16000 and np.sum(late**2) < 1e-4 * np.sum(response**2)
    assert run(*command, tmp_path / "a").stderr == ""  # is done already
    assert_fails_in_one_line(run("local/make_rooms.py", tmp_path / "a"), "a holds other rooms (rooms 2 seed 3)")


def write_talkers(folder: Path) -> Path:
    """A data directory of s1 itself, who hums at 1 kHz, and of another speaker, who hums at 3 kHz."""
    write_data_dir(folder, {"s1-x": "ME", "s2-x": "YOU"})
    for name, hertz in (("s1-x", 1000), ("s2-x", 3000)):
        soundfile.write(folder / f"{name}.wav", 0.5 * np.sin(np.arange(16000) * 2 * np.pi * hertz / 16000), 16000)
    (folder / "utt2spk").write_text("s1-x s1\ns2-x s2\n")
    return folder


@pytest.mark.slow
def test_rooms_others_and_levels(data: Path, noises: Path, tmp_path: Path) -> None:
    echo = np.zeros((8000, 2))
    echo[[0, 4000], 0] = 1e-4, 1e-4  # quiet, as impulse responses may be; the second channel is silent
    (tmp_path / "rooms").mkdir()
    for number in range(3):
        soundfile.write(tmp_path / f"rooms/r{number}.wav", echo, 16000, subtype="FLOAT")
    assert run("local/split_noise.py", "--rirs", tmp_path / "rooms", tmp_path / "lists2").returncode == 0
    command = ["local/add_noise.py", "--snr", "0", "--level=-30:-30"]
    command += ["--babble-data", write_talkers(tmp_path / "talkers")]
    command += ["--rirs", tmp_path / "lists2/test.list", data, noises / "test.list", tmp_path / "n"]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "n/utt2room").read_text() == "s1-a r2\ns1-b r2\ns1-c r2\n"
    noisy, _ = soundfile.read(tmp_path / "n/wav/s1-a.wav")
    speech = speech_like(1)
    speech[4000:] += speech[:-4000]
    speech *= 10 ** (-30 / 20) / np.sqrt(active_power(speech))
    added = noisy - speech
    assert 10 * np.log10(active_power(speech) / np.mean(added**2)) == pytest.approx(0, abs=0.02)
    spectrum = np.abs(np.fft.rfft(added))
    assert spectrum[3000] > 20 * np.median(spectrum) > spectrum[1000]  # another speaker, not the same one
    assert run(*command, "--rir-chance", "0").returncode == 0
    assert (tmp_path / "n/utt2room").read_text() == "s1-a none\ns1-b none\ns1-c none\n"


@pytest.mark.slow
def test_noise_is_the_same_without_what_is_not_asked_for(data: Path, noises: Path, tmp_path: Path) -> None:
    plain = ["local/add_noise.py", data, noises / "test.list"]
    more = ["--babble-data", write_talkers(tmp_path / "talkers"), "--babble-chance", "0"]
    assert run(*plain, tmp_path / "n").returncode == run(*plain, tmp_path / "m", *more).returncode == 0
    assert (tmp_path / "n/wav/s1-a.wav").read_bytes() == (tmp_path / "m/wav/s1-a.wav").read_bytes()


def test_bad_level(data: Path, noises: Path, tmp_path: Path) -> None:
    for level in ("-20", "-20:-30", "a:b"):
        done = run("local/add_noise.py", f"--level={level}", data, noises / "test.list", tmp_path / "n")
        assert_fails_in_one_line(done, "--level takes <lowest>:<highest>", level)


@pytest.mark.slow
def test_several_copies_with_noise(data: Path, noises: Path, tmp_path: Path) -> None:
    options = ("--copies", "2", "--noise", noises / "test.list", "--noise-opts", "--snr-low 3 --snr-high 6")
    done = run("local/augment_data_dir.sh", *options, data, tmp_path / "copies")
    assert done.returncode == 0, done.stderr
    wavs = dict(line.split() for line in (tmp_path / "copies/wav.scp").read_text().splitlines())
    assert list(wavs) == [f"noise{copy}-s1-{name}" for copy in (1, 2) for name in "abc"]
    assert Path(wavs["noise1-s1-a"]).read_bytes() != Path(wavs["noise2-s1-a"]).read_bytes()
    ratios = [float(ratio) for ratio in (tmp_path / "copies/utt2snr").read_text().split()[1::2]]
    assert len(set(ratios)) == 6 and all(3 <= ratio <= 6 for ratio in ratios)
