"""utils/: text tables, data directories, lang directories. They are run as the recipe runs them, from its directory."""

import os
import subprocess
import wave
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"


def run(*command: object, stdin: str = "", fails: bool = False) -> subprocess.CompletedProcess:
    """Run a command in the recipe's directory, with the programs that path.sh finds, and expect success or failure."""
    environment = {k: v for k, v in os.environ.items() if k != "KALDI_ROOT"}
    done = subprocess.run(
        ["bash", "-c", '. ./path.sh && "$@"', "test", *map(str, command)],
        cwd=ROOT,
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def first_fields(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines()]


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
    write(directory / "utt2dur", *(f"{u} {10 - i}" for i, u in enumerate(utterances)))
    write(directory / "spk2gender", "s1 f", "s2 m", "s3 f")
    write(directory / "spk2utt", *(f"s{s} " + " ".join(f"s{s}-{u}" for u in range(4)) for s in (1, 2, 3)))
    return directory


class TestText:
    @pytest.fixture
    def symbols(self, tmp_path: Path) -> Path:
        return write(tmp_path / "words.txt", "<eps> 0", "<UNK> 1", "ONE 2", "TWO 3")

    def test_sym2int_maps_unknown_words_and_counts_them(self, symbols: Path) -> None:
        done = run("utils/sym2int.pl", "--map-oov", "<UNK>", "-f", "2-", symbols, stdin="u1 ONE FROB TWO\n")
        assert done.stdout == "u1 2 1 3\n"
        assert "replaced 1 tokens" in done.stderr and "FROB" in done.stderr

    def test_sym2int_refuses_unknown_words(self, symbols: Path) -> None:
        done = run("utils/sym2int.pl", "-f", "2-", symbols, stdin="u1 FROB\n", fails=True)
        assert done.stderr.count("\n") == 1 and "'FROB' (line 1, field 2)" in done.stderr

    def test_int2sym_is_the_inverse(self, symbols: Path) -> None:
        assert run("utils/int2sym.pl", "-f", "2-3", symbols, stdin="u1 2 3 3\n").stdout == "u1 ONE TWO 3\n"

    def test_filter_scp(self, tmp_path: Path) -> None:
        ids = write(tmp_path / "ids", "b x", "c")
        assert run("utils/filter_scp.pl", ids, stdin="a 1\nb 2\n").stdout == "b 2\n"
        assert run("utils/filter_scp.pl", "--exclude", ids, stdin="a 1\nb 2\n").stdout == "a 1\n"
        assert run("utils/filter_scp.pl", "-f", "2", ids, stdin="1 a\n2 c\n").stdout == "2 c\n"

    def test_apply_map(self, tmp_path: Path) -> None:
        phone_map = write(tmp_path / "map", "A A_B A_E", "B B")
        assert run("utils/apply_map.pl", phone_map, stdin="A B\n").stdout == "A_B A_E B\n"
        assert "'C'" in run("utils/apply_map.pl", phone_map, stdin="C\n", fails=True).stderr
        assert run("utils/apply_map.pl", "--permissive", "-f", "2", phone_map, stdin="A B C\n").stdout == "A B C\n"

    def test_speakers_there_and_back(self) -> None:
        inverse = run("utils/utt2spk_to_spk2utt.pl", stdin="u1 a\nu2 a\nu3 b\n").stdout
        assert inverse == "a u1 u2\nb u3\n"
        assert run("utils/spk2utt_to_utt2spk.pl", stdin=inverse).stdout == "u1 a\nu2 a\nu3 b\n"

    def test_best_wer(self) -> None:
        lines = "d/wer_7_0.0:%WER 12.50 [ 1 / 8, 0 ins, 1 del, 0 sub ]\nd/wer_8_0.5:%WER 9.99 [ 1 / 8, 0 ins ]\n"
        assert run("utils/best_wer.sh", stdin=lines).stdout == "%WER 9.99 [ 1 / 8, 0 ins ] d/wer_8_0.5\n"


class TestOptions:
    SCRIPT = "nj=4; cmd=run.pl; flag=true; . utils/parse_options.sh; echo $nj $flag $*"

    def test_values_and_positional_arguments(self) -> None:
        assert run("bash", "-c", self.SCRIPT, "x", "--nj", "2", "--flag", "false", "a").stdout == "2 false a\n"

    def test_config_file_gives_way_to_the_command_line(self, tmp_path: Path) -> None:
        config = write(tmp_path / "x.conf", "nj=7", "flag=false")
        assert run("bash", "-c", self.SCRIPT, "x", "--nj", "2", "--config", config, "a").stdout == "2 false a\n"

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--nosuch", "1"),
            ("--flag", "yes"),
            ("--nj",),
            ("--nj=3",),
            ("--nj", "x"),
            ("--nj", "0"),
            ("--cmd", "nosuch.pl"),
        ],
    )
    def test_bad_options_are_one_line(self, arguments: tuple[str, ...]) -> None:
        done = run("bash", "-c", self.SCRIPT, "x", *arguments, fails=True)
        assert done.stderr.count("\n") == 1 and arguments[0].split("=")[0] in done.stderr


@pytest.mark.parametrize(
    "program",
    [
        "utils/fix_data_dir.sh",
        "utils/split_data.sh",
        "utils/subset_data_dir.sh",
        "utils/format_lm.sh",
        "utils/gen_topo.pl",
        "local/prepare_dict.sh",
        "local/count_oov.sh",
    ],
)
def test_help(program: str) -> None:
    assert run(program, "--help").stdout.startswith("Usage: ")


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
        ],
    )
    def test_text_that_kaldi_refuses(self, data: Path, table: str, old: str, new: str, message: str) -> None:
        (data / table).write_text((data / table).read_text().replace(old, new), newline="")
        assert message in run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr

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
        message = run("utils/combine_data.sh", tmp_path / "twice", data, data, fails=True).stderr
        assert "s1-0 is in more than one" in message and not (tmp_path / "twice").exists()

    def test_segments(self, data: Path, tmp_path: Path) -> None:
        write(data / "segments", *(f"{u} rec 0.5 1.5" for u in first_fields(data / "utt2spk")))
        write(data / "wav.scp", "other wave.wav", "rec echo |")
        run("utils/subset_data_dir.sh", "--first", data, 1, tmp_path / "sub")
        assert first_fields(tmp_path / "sub/wav.scp") == ["rec"]
        (data / "segments").write_text((data / "segments").read_text().replace("s1-0 rec 0.5", "s1-0 rec 2.5"))
        assert "segments: 's1-0' needs" in run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr

    def test_times_of_segments(self, data: Path) -> None:
        write(data / "wav.scp", "rec echo |")
        good = ["0 1", "1e-1 1", ".5 -1", "0 1.5E1 1"]
        times = [*good, "0.5.1 2", "0 1 x", "0 1 0 0", "0 -2", "1 1", "1", "0 . 1", "-1 2"]
        write(data / "segments", *(f"{u} rec {t}" for u, t in zip(first_fields(data / "utt2spk"), times, strict=True)))
        errors = run("utils/validate_data_dir.sh", "--no-feats", data, fails=True).stderr
        assert [line.split("'")[1] for line in errors.splitlines()] == first_fields(data / "utt2spk")[4:]

    def test_durations_of_segments(self, data: Path, tmp_path: Path) -> None:
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


@pytest.fixture(scope="module")
def lang(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("prepare_lang")
    run("utils/prepare_lang.sh", GOLDEN / "dict", "<UNK>", directory / "tmp", directory / "lang")
    return directory / "lang"


class TestLang:
    def test_files_are_those_of_kaldi(self, lang: Path) -> None:
        golden = GOLDEN / "lang"
        names = sorted(str(f.relative_to(golden)) for f in golden.rglob("*") if f.is_file())
        assert sorted(str(f.relative_to(lang)) for f in lang.rglob("*") if f.is_file()) == names
        for name in names:
            if not name.endswith(".fst"):
                assert (lang / name).read_text() == (golden / name).read_text(), name

    @pytest.mark.parametrize("name", ["L.fst", "L_disambig.fst"])
    def test_lexicon_transducers_are_those_of_kaldi(self, lang: Path, name: str) -> None:
        ours, golden = (sorted(run("fstprint", d / name).stdout.splitlines()) for d in (lang, GOLDEN / "lang"))
        assert [line.split()[:4] for line in ours] == [line.split()[:4] for line in golden]
        costs = [[float(line.split()[-1]) for line in fst if len(line.split()) in (2, 5)] for fst in (ours, golden)]
        assert costs[0] == pytest.approx(costs[1], rel=1e-5)

    def test_without_positions_and_silence(self, tmp_path: Path) -> None:
        run(
            "utils/prepare_lang.sh",
            "--position-dependent-phones",
            "false",
            "--sil-prob",
            "0.0",
            "--share-silence-phones",
            "true",
            GOLDEN / "dict",
            "<UNK>",
            tmp_path / "tmp",
            tmp_path / "lang",
        )
        assert (tmp_path / "lang/phones/roots.txt").read_text().splitlines()[0] == "not-shared not-split SIL SPN"
        assert first_fields(tmp_path / "lang/phones.txt")[:3] == ["<eps>", "SIL", "SPN"]

    def test_phone_symbol_table(self, tmp_path: Path) -> None:
        run(
            "utils/prepare_lang.sh",
            "--phone-symbol-table",
            GOLDEN / "lang/phones.txt",
            GOLDEN / "dict",
            "<UNK>",
            tmp_path / "tmp",
            tmp_path / "lang",
        )
        assert (tmp_path / "lang/phones.txt").read_text() == (GOLDEN / "lang/phones.txt").read_text()

    def test_disambiguation(self, tmp_path: Path) -> None:
        lexicon = write(tmp_path / "lexiconp.txt", "A 1.0 X", "B 0.5 X Y", "C 1.0 X Y", "D 1.0 Z")
        out = tmp_path / "out"
        assert run("utils/lang/add_lex_disambig.pl", "--pron-probs", lexicon, out).stdout == "2\n"
        assert [line.split() for line in out.read_text().splitlines()] == [
            ["A", "1.0", "X", "#1"],
            ["B", "0.5", "X", "Y", "#1"],
            ["C", "1.0", "X", "Y", "#2"],
            ["D", "1.0", "Z"],
        ]

    @pytest.mark.parametrize(
        ("name", "line", "message"),
        [
            ("lexicon.txt", "FROB F R OOPS", "phone 'OOPS' of word 'FROB'"),
            ("lexicon.txt", "ONE W AH N", "'ONE W AH N' is there twice"),
            ("lexicon.txt", "EMPTY", "word 'EMPTY' has no phones"),
            ("silence_phones.txt", "AA", "'AA' is there twice"),
            ("optional_silence.txt", "SPN", "exactly one phone"),
            ("extra_questions.txt", "QQ", "phone 'QQ'"),
        ],
    )
    def test_dictionary_errors(self, tmp_path: Path, name: str, line: str, message: str) -> None:
        for file in (GOLDEN / "dict").iterdir():
            if file.name != "lexiconp.txt":
                (tmp_path / file.name).write_text(file.read_text() + (line + "\n" if file.name == name else ""))
        errors = run("utils/validate_dict_dir.pl", tmp_path, fails=True).stderr
        assert message in errors and name in errors

    def test_dictionary_without_final_newline(self, tmp_path: Path) -> None:
        run("cp", "-r", GOLDEN / "dict", tmp_path)
        lexicon = tmp_path / "dict/lexicon.txt"
        lexicon.write_text(lexicon.read_text().rstrip("\n"))
        assert "does not end with a newline" in run("utils/validate_dict_dir.pl", tmp_path / "dict", fails=True).stderr

    def test_oov_word_must_be_in_the_lexicon(self, tmp_path: Path) -> None:
        done = run("utils/prepare_lang.sh", GOLDEN / "dict", "<NOPE>", tmp_path / "tmp", tmp_path / "lang", fails=True)
        assert "'<NOPE>', is not in the lexicon" in done.stderr

    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("words.txt", "ONE 10", "ONE 9", "integer 9 twice"),
            ("phones/silence.int", "1\n", "2\n", "differs from phones/silence.txt"),
            ("topo", "11 12", "12", "covers phone AA_B 0 times"),
            ("phones/word_boundary.txt", "AA_B begin", "AA_B start", "unknown kind 'start'"),
        ],
    )
    def test_lang_errors(self, tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
        run("cp", "-r", GOLDEN / "lang", tmp_path / "lang")
        file = tmp_path / "lang" / name
        file.write_text(file.read_text().replace(old, new, 1))
        done = run("utils/validate_lang.pl", "--skip-determinization-check", tmp_path / "lang", fails=True)
        assert message in done.stderr
