"""utils/ on data directories: validation, repair, splitting, subsets, copies, durations."""

import os
import wave
from pathlib import Path

import pytest
from scripts import first_fields, run, write


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory of 3 speakers with 4 utterances each; the recordings are only bytes."""
    directory = tmp_path / "data"
    utterances = [f"s{s}-{u}" for s in (1, 2, 3) for u in range(4)]
    for utterance in utterances:
        write(tmp_path / "wav" / f"{utterance}.wav", "RIFF")
    write(directory / "wav.scp", *(f"{u} {tmp_path}/wav/{u}.wav" for u in utterances))
    write(directory / "text", *(f"{u} ONE TWO" for u in utterances))
    write(directory / "utt2spk", *(f"{u} {u[:2]}" for u in utterances))
    write(directory / "utt2dur", *(f"{u} {12 - i}" for i, u in enumerate(utterances)))
    write(directory / "spk2gender", "s1 f", "s2 m", "s3 f")
    write(directory / "spk2utt", *(f"s{s} " + " ".join(f"s{s}-{u}" for u in range(4)) for s in (1, 2, 3)))
    return directory


class TestDataDirectories:
    def test_fine(self, data: Path) -> None:
        assert "12 utterances, 3 speakers" in run("utils/validate_data_dir.sh", "--no-feats", data).stdout

    def test_each_problem_names_file_and_utterance(self, data: Path) -> None:
        lines = (data / "text").read_text().splitlines()
        write(data / "text", lines[1], lines[0], lines[0], *lines[3:], "u9 X")
        (data.parent / "wav" / "s3-2.wav").unlink()
        errors = run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr
        assert "text: 's1-0' is out of order" in errors
        assert "text: 's1-0' appears twice" in errors
        assert "text: 'u9' is not in utt2spk" in errors
        assert "utt2spk: 's1-2' has no line in text" in errors
        assert "wav.scp: 's3-2' names a file that does not exist" in errors

    def test_empty_transcript(self, data: Path) -> None:
        (data / "text").write_text((data / "text").read_text().replace("s2-0 ONE TWO", "s2-0"))
        assert "text: 's2-0' has no words" in run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr

    def test_speaker_ids_must_begin_utterance_ids(self, tmp_path: Path, data: Path) -> None:
        (data / "utt2spk").write_text((data / "utt2spk").read_text().replace("s1-1 s1", "s1-1 s3"))
        assert "begin with the speaker id" in run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr

    @pytest.mark.parametrize(
        ("table", "old", "new", "message"),
        [
            ("text", "s3-3 ONE TWO\n", "s3-3 ONE TWO", "text line 12: the last line does not end with a newline"),
            ("wav.scp", ".wav\n", ".wav\r\n", "wav.scp: 's1-0' has a carriage return"),
            ("text", "s1-1 ONE TWO", "s1-1 ONE\u00a0TWO", "text: 's1-1' has white space other than blanks"),
            ("text", "s1-1 ONE TWO", "s1-1 ONE\aTWO", "text: 's1-1' has characters that cannot be printed"),
            ("text", "s1-1 ONE TWO", "s1-1 <s> ONE", "text: 's1-1' has a symbol that cannot be a word"),
            ("text", "s1-1 ONE TWO", "s1-1 ONE </s>", "text: 's1-1' has a symbol that cannot be a word"),
            ("text", "s1-1 ONE TWO", "s1-1 #0", "text: 's1-1' has a symbol that cannot be a word"),
        ],
    )
    def test_text_that_kaldi_refuses(self, data: Path, table: str, old: str, new: str, message: str) -> None:
        (data / table).write_text((data / table).read_text().replace(old, new), newline="")
        assert message in run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr

    def test_text_that_kaldi_takes(self, data: Path) -> None:
        words = ["#1", "x#0", "<S>", "a<s>b", "X\tY", "\u00e9", "a\u200bb", "\ufeffa"]
        utterances = first_fields(data / "utt2spk")
        write(data / "text", *(f"{u} {words[n % len(words)]}" for n, u in enumerate(utterances)))
        run("utils/validate_data_dir.sh", "--no-feats", data)
        write(data / "text", *(f"{u} ONE\aTWO" for u in utterances))
        run("utils/validate_data_dir.sh", "--no-feats", "--non-print", data)

    def test_epsilon_is_no_word(self, data: Path) -> None:
        (data / "text").write_text((data / "text").read_text().replace("s2-0 ONE", "s2-0 <eps>"))
        errors = run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr
        assert "text: 's2-0' has a symbol that cannot be a word" in errors

    @pytest.mark.parametrize(
        ("table", "taken", "refused"),
        [
            ("utt2dur", ["1", "1e-3", ".5"], ["0", "-1", "1 2", ""]),
            ("utt2num_frames", ["1", "1e3"], ["0", "-1", "1 2", "1.5", "x"]),
            ("utt2warp", ["1", "0.51", "1e0"], ["0.5", "1.5", "x", "1 1"]),
            ("spk2warp", ["1"], ["1.5", "x"]),
            ("spk2gender", ["m", "f"], ["M"]),
            ("spk2gender", ["f"], ["m f", ""]),
            ("reco2file_and_channel", ["f A", "f B", "f 1"], ["f C", "f", "f A x"]),
            ("reco2dur", ["1", "1e-3"], ["0"]),
            # Kaldi takes these, as it compares words with 0, or not at all.
            ("utt2dur", ["1"], ["x", "nan", "1s"]),
            ("reco2dur", ["1"], ["x"]),
            ("utt2snr", ["1", "-5.0"], ["x", "1 2", ""]),
        ],
    )
    def test_values_that_kaldi_refuses(self, data: Path, table: str, taken: list[str], refused: list[str]) -> None:
        names = first_fields(data / ("spk2utt" if table.startswith("spk") else "utt2spk"))
        values = refused + [taken[n % len(taken)] for n in range(len(names) - len(refused))]
        write(data / table, *(f"{name} {value}" for name, value in zip(names, values, strict=True)))
        errors = run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr.splitlines()
        assert [line.split("'")[1] for line in errors] == names[: len(refused)]
        assert all(f"{table}: '" in line and "' needs " in line for line in errors)

    @pytest.mark.parametrize("table", ["utt2dur", "utt2num_frames"])
    def test_utterances_without_length_are_left_out(self, data: Path, table: str) -> None:
        utterances = first_fields(data / "utt2spk")
        write(data / table, *(f"{u} {v}" for u, v in zip(utterances, ["0", "-1", "2 2", *"123456789"], strict=True)))
        errors = run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr
        assert errors.count("repairs this") == 3
        run("utils/fix_data_dir.sh", data)
        assert first_fields(data / "text") == utterances[3:]
        run("utils/validate_data_dir.sh", "--no-feats", data)

    @pytest.mark.parametrize("table", ["reco2dur", "reco2file_and_channel", "utt2uniq", "utt2lang", "utt2warp"])
    def test_tables_that_lack_lines(self, data: Path, table: str) -> None:
        value = {"reco2file_and_channel": "f A"}.get(table, "1")
        write(data / table, *(f"{u} {value}" for u in first_fields(data / "utt2spk")[1:]))
        errors = run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr
        assert errors.count("\n") == 1 and f"'s1-0' has no line in {table}" in errors

    def test_what_validation_says_can_be_repaired_is_repaired(self, data: Path) -> None:
        utterances = first_fields(data / "utt2spk")
        tables = ("utt2dur", "utt2num_frames", "utt2lang", "utt2warp", "utt2snr")
        for number, table in enumerate(tables):
            write(data / table, *(f"{u} 1" for u in utterances if u != utterances[number]))
        write(data / "spk2gender", "s1 f", "s2 m")
        (data / "text").write_text((data / "text").read_text().rstrip("\n"))
        errors = run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr.splitlines()
        assert len(errors) == len(tables) + 2 and all("repairs this" in line for line in errors)
        run("utils/fix_data_dir.sh", data)
        run("utils/validate_data_dir.sh", "--no-feats", data)
        assert first_fields(data / "utt2spk") == ["s2-1", "s2-2", "s2-3"]

    def test_speakers_are_sorted_where_utterances_do_not_begin_with_them(self, data: Path) -> None:
        for table in ("utt2spk", "spk2gender"):
            (data / table).write_text((data / table).read_text().replace(" s1", " t").replace("s1 ", "t "))
        assert "repairs this" in run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr
        run("utils/fix_data_dir.sh", data)
        assert first_fields(data / "spk2utt") == ["s2", "s3", "t"]
        run("utils/validate_data_dir.sh", "--no-feats", "--no-spk-sort", data)

    def test_fix_keeps_what_is_complete(self, data: Path) -> None:
        lines = (data / "text").read_text().splitlines()
        write(data / "text", *reversed(lines[2:]), lines[5])
        write(data / "wav.scp", *(data / "wav.scp").read_text().splitlines()[:-1])
        done = run("utils/fix_data_dir.sh", data)
        assert "dropped a second line for s2-1" in done.stderr
        assert (
            first_fields(data / "utt2spk")
            == first_fields(data / "text")
            == [f"s{s}-{u}" for s in (1, 2, 3) for u in range(4) if f"s{s}-{u}" not in ("s1-0", "s1-1", "s3-3")]
        )
        run("utils/validate_data_dir.sh", "--no-feats", data)
        assert len(first_fields(data / ".backup" / "text")) == 11

    def test_fix_refuses_to_empty_a_directory(self, data: Path) -> None:
        write(data / "text", "other WORD")
        before = (data / "utt2spk").read_text()
        assert "nothing changed" in run("utils/fix_data_dir.sh", data, fails=True).stderr
        assert (data / "utt2spk").read_text() == before

    def test_split_keeps_speakers_whole_and_is_renewed(self, data: Path) -> None:
        run("utils/split_data.sh", data, 2)
        parts = [first_fields(data / "split2" / str(n) / "spk2utt") for n in (1, 2)]
        assert sorted(parts[0] + parts[1]) == ["s1", "s2", "s3"]
        assert (data / "split2/1/spk2gender").exists() and (data / "split2/2/wav.scp").exists()
        before = (data / "split2").stat().st_mtime
        run("utils/split_data.sh", data, 2)
        assert (data / "split2").stat().st_mtime == before
        os.utime(data / "text", (2e9, 2e9))
        run("utils/split_data.sh", data, 2)
        assert (data / "split2").stat().st_mtime > before

    @pytest.mark.parametrize("segments", [False, True])
    @pytest.mark.parametrize("option", [(), ("--per-utt",)])
    def test_a_split_is_the_subset_of_each_part(
        self, data: Path, tmp_path: Path, option: tuple[str, ...], segments: bool
    ) -> None:
        """Every table, and in its order; speakers and recordings may be of several parts."""
        utterances = first_fields(data / "utt2spk")
        write(data / "cmvn.scp", *(f"{speaker} x.ark:5" for speaker in first_fields(data / "spk2utt")))
        write(data / "utt2snr", *(f"{utterance} 5.0" for utterance in utterances[::3]))
        write(data / "frame_shift", "0.01")
        if segments:
            write(data / "wav.scp", "r1 1.wav", "r2 2.wav", "r3 3.wav")
            write(data / "segments", *(f"{name} r{number % 2 + 1} 0 1" for number, name in enumerate(utterances)))
        run("utils/split_data.sh", *option, data, 3)
        split = data / ("split3utt" if option else "split3")
        assert sum((first_fields(split / str(n) / "utt2spk") for n in (1, 2, 3)), []) == utterances
        for part in (split / str(n) for n in (1, 2, 3)):
            run("utils/subset_data_dir.sh", "--utt-list", part / "utt2spk", data, tmp_path / "sub")
            assert {path.name: path.read_bytes() for path in part.iterdir()} == {
                path.name: path.read_bytes() for path in (tmp_path / "sub").iterdir()
            }
        assert len(list(data.glob("split3*"))) == 1

    def test_more_parts_than_speakers(self, data: Path) -> None:
        assert "3 speakers, too few for 4 parts" in run("utils/split_data.sh", data, 4, fails=True).stderr
        run("utils/split_data.sh", "--per-utt", data, 12)
        assert not list(data.glob("split4*")) and (data / "split12utt/12/text").exists()

    @pytest.mark.parametrize(
        ("option", "expected"),
        [
            ("--first", ["s1-0", "s1-1", "s1-2"]),
            ("--last", ["s3-1", "s3-2", "s3-3"]),
            ("--shortest", ["s3-1", "s3-2", "s3-3"]),
            ("--speakers", ["s1-0", "s1-1", "s1-2", "s1-3"]),
        ],
    )
    def test_subset(self, data: Path, tmp_path: Path, option: str, expected: list[str]) -> None:
        run("utils/subset_data_dir.sh", option, data, 3, tmp_path / "sub")
        for table in ("utt2spk", "text", "wav.scp"):
            assert first_fields(tmp_path / "sub" / table) == expected

    def test_subset_by_list(self, data: Path, tmp_path: Path) -> None:
        speakers = write(tmp_path / "list", "s2")
        write(data / "cmvn.scp", *(f"{speaker} x.ark:5" for speaker in first_fields(data / "spk2utt")))
        run("utils/subset_data_dir.sh", "--spk-list", speakers, data, tmp_path / "sub")
        assert first_fields(tmp_path / "sub" / "spk2gender") == first_fields(tmp_path / "sub" / "cmvn.scp") == ["s2"]

    def test_subset_that_cannot_be_made(self, data: Path, tmp_path: Path) -> None:
        assert "Usage" in run("utils/subset_data_dir.sh", "--utt-list", fails=True).stderr
        write(data / "utt2dur", *(data / "utt2dur").read_text().splitlines()[:-1])
        errors = run("utils/subset_data_dir.sh", "--shortest", data, 3, tmp_path / "sub", fails=True).stderr
        assert "utt2dur has no line for s3-3" in errors and not (tmp_path / "sub").exists()

    def test_copy_with_prefixes_and_combine(self, data: Path, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        write(tmp_path / "a/utt2dur", "of-an-earlier-run 1.0")
        run("utils/copy_data_dir.sh", "--utt-prefix", "a-", "--spk-prefix", "a-", data, tmp_path / "a")
        assert (tmp_path / "a/utt2spk").read_text().splitlines()[0] == "a-s1-0 a-s1"
        run("utils/combine_data.sh", tmp_path / "both", data, tmp_path / "a")
        assert len(first_fields(tmp_path / "both/text")) == 24
        assert not (tmp_path / "both/encoder").exists()
        message = run("utils/combine_data.sh", tmp_path / "twice", data, data, fails=True).stderr
        assert "s1-0 is in more than one" in message and not (tmp_path / "twice").exists()

    def test_segments(self, data: Path, tmp_path: Path) -> None:
        write(data / "segments", *(f"{u} rec 0.5 1.5" for u in first_fields(data / "utt2spk")))
        write(data / "wav.scp", "other wave.wav", "rec echo |")
        run("utils/subset_data_dir.sh", "--first", data, 1, tmp_path / "sub")
        assert first_fields(tmp_path / "sub/wav.scp") == ["rec"]
        (data / "segments").write_text((data / "segments").read_text().replace("s1-0 rec 0.5", "s1-0 rec 2.5"))
        errors = run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr
        assert "segments: 's1-0' needs" in errors and "wav.scp: 'other' has no segment" in errors
        (data / "wav.scp").unlink()
        errors = run("utils/validate_data_dir.sh", "--no-feats", "--no-wav", data, fails=True).stderr
        assert f"{data}/wav.scp is missing\n" in errors

    def test_times_of_segments(self, data: Path) -> None:
        write(data / "wav.scp", "rec echo |")
        good = ["0 1", "1e-1 1", ".5 -1", "0 1.5E1 1"]
        times = [*good, "0.5.1 2", "0 1 x", "0 1 0 0", "0 -2", "1 1", "1", "0 . 1", "-1 2"]
        write(data / "segments", *(f"{u} rec {t}" for u, t in zip(first_fields(data / "utt2spk"), times, strict=True)))
        errors = run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr
        assert [line.split("'")[1] for line in errors.splitlines()] == first_fields(data / "utt2spk")[4:]

    def test_combine_refuses_two_recordings_of_one_id(self, data: Path, tmp_path: Path) -> None:
        write(data / "segments", *(f"{u} rec 0.5 1.5" for u in first_fields(data / "utt2spk")))
        for name in ("a", "b"):
            write(data / "wav.scp", f"rec echo {name} |")
            run("utils/copy_data_dir.sh", "--utt-prefix", f"{name}-", "--spk-prefix", f"{name}-", data, tmp_path / name)
        message = run("utils/combine_data.sh", tmp_path / "both", tmp_path / "a", tmp_path / "b", fails=True).stderr
        assert message.count("\n") == 1 and "recording rec has different lines" in message
        assert not (tmp_path / "both").exists()
        (tmp_path / "b/wav.scp").write_text((tmp_path / "a/wav.scp").read_text())
        run("utils/combine_data.sh", tmp_path / "both", tmp_path / "a", tmp_path / "b")
        assert first_fields(tmp_path / "both/wav.scp") == ["rec"]

    def test_features_of_an_encoder_are_combined_with_their_like(self, data: Path, tmp_path: Path) -> None:
        write(data / "feats.scp", *(f"{u} feats.ark:{n}" for n, u in enumerate(first_fields(data / "utt2spk"))))
        files = {"encoder": "base 0123 /models/base", "frame_shift": "0.02", "frame_subsampling_factor": "2"}
        for file, line in files.items():
            write(data / file, line)
        run("utils/copy_data_dir.sh", "--utt-prefix", "a-", "--spk-prefix", "a-", data, tmp_path / "a")
        run("utils/combine_data.sh", tmp_path / "both", data, tmp_path / "a")
        for file, line in files.items():
            assert (tmp_path / "both" / file).read_text() == line + "\n"
        write(tmp_path / "a/encoder", "base 4567 /models/base")
        message = run("utils/combine_data.sh", tmp_path / "both", data, tmp_path / "a", fails=True).stderr
        assert "encoder is not the same in" in message


class TestDurations:
    """The expected values are those of Kaldi's get_utt2dur.sh, which stops where a header does not know the length."""

    STREAMED = {"sox": 0x7FFFF000, "ffmpeg": 0xFFFFFFFF, "zero": 0, "wrong": 4 * 32000}

    @pytest.fixture
    def streamed(self, tmp_path: Path) -> Path:
        """Recordings of 2 s at 16 kHz whose headers were written before their length was known, or say 4 s."""
        directory = tmp_path / "streamed"
        for name, size in self.STREAMED.items():
            with wave.open(str(tmp_path / f"{name}.wav"), "wb") as recording:
                recording.setparams((1, 2, 16000, 0, "NONE", ""))
                recording.writeframes(bytes(2 * 32000))
            content = bytearray((tmp_path / f"{name}.wav").read_bytes())
            content[4:8] = min(size + 36, 0xFFFFFFFF if size else 0).to_bytes(4, "little")
            content[40:44] = size.to_bytes(4, "little")
            (tmp_path / f"{name}.wav").write_bytes(content)
        names = sorted(self.STREAMED)
        write(directory / "utt2spk", *(f"{name} s" for name in names))
        write(directory / "spk2utt", "s " + " ".join(names))
        write(directory / "wav.scp", *(f"{name} cat {tmp_path}/{name}.wav |" for name in names))
        return directory

    def durations(self, data: Path) -> dict[str, float]:
        return {name: float(value) for name, value in map(str.split, (data / "utt2dur").read_text().splitlines())}

    def test_headers_that_do_not_know_the_length(self, streamed: Path) -> None:
        run("utils/data/get_utt2dur.sh", "--nj", 9, streamed)
        assert self.durations(streamed) == {"ffmpeg": 2, "sox": 2, "wrong": 4, "zero": 2}

    def test_speed_of_sox(self, streamed: Path) -> None:
        (streamed / "wav.scp").write_text((streamed / "wav.scp").read_text().replace(" |", " | cat # sox - speed 2 |"))
        run("utils/data/get_utt2dur.sh", streamed)
        assert self.durations(streamed) == dict.fromkeys(sorted(self.STREAMED), 2)

    def test_whole_by_option(self, streamed: Path) -> None:
        run("utils/data/get_utt2dur.sh", "--nj", 1, "--read-entire-file", "true", streamed)
        assert self.durations(streamed) == dict.fromkeys(sorted(self.STREAMED), 2)

    def test_frames(self, data: Path) -> None:
        (data / "utt2dur").unlink()
        write(data / "utt2num_frames", *(f"{u} {98 + 100 * i}" for i, u in enumerate(first_fields(data / "utt2spk"))))
        write(data / "frame_shift", "0.01")
        run("utils/data/get_utt2dur.sh", data)
        assert list(self.durations(data).values())[:3] == [0.995, 1.995, 2.995]

    def test_features_alone(self, data: Path, tmp_path: Path) -> None:
        for table in ("utt2dur", "wav.scp"):
            (data / table).unlink()
        features = "".join(f"{u}  [\n  1\n  2\n  3 ]\n" for u in first_fields(data / "utt2spk"))
        run("copy-feats", "ark:-", f"ark,scp:{tmp_path}/f.ark,{data}/feats.scp", stdin=features)
        run("utils/data/get_utt2dur.sh", "--frame-shift", 0.02, data)
        assert self.durations(data) == dict.fromkeys(first_fields(data / "utt2spk"), 0.09)
        for table in ("utt2dur", "feats.scp"):
            (data / table).unlink()
        errors = run("utils/data/get_utt2dur.sh", data, fails=True).stderr
        assert errors.count("\n") == 1 and "nothing to know durations from" in errors

    def test_segments(self, data: Path, tmp_path: Path) -> None:
        with wave.open(str(tmp_path / "rec.wav"), "wb") as recording:
            recording.setparams((1, 2, 16000, 0, "NONE", ""))
            recording.writeframes(bytes(2 * 16000 * 3))
        write(data / "wav.scp", f"rec {tmp_path}/rec.wav")
        write(data / "segments", *(f"{u} rec 0.5 {1.5 if u < 's2' else -1}" for u in first_fields(data / "utt2spk")))
        (data / "utt2dur").unlink()
        run("utils/data/get_utt2dur.sh", data)
        assert (data / "utt2dur").read_text().split()[1::2] == ["1.000"] * 4 + ["2.500"] * 8
        (data / "utt2dur").unlink()
        (data / "segments").write_text((data / "segments").read_text().replace("s1-2 rec 0.5", "s1-2 rec 2.5"))
        assert "s1-2 has no length" in run("utils/data/get_utt2dur.sh", data, fails=True).stderr
        assert not (data / "utt2dur").exists()
