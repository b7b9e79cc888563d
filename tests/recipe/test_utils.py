"""utils/: text tables, options, help."""

from pathlib import Path

import pytest
from scripts import run, write


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


@pytest.mark.parametrize(
    "program",
    [
        "utils/fix_data_dir.sh",
        "local/prepare_dict.sh",
        "steps/train_sat.sh",
        "steps/align_si.sh",
        "egs/myst/prepare.sh",
    ],
)
def test_wrong_number_of_arguments(program: str) -> None:
    assert run(program, fails=True).stderr == run(program, "--help").stdout
