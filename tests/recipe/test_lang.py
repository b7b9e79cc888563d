"""utils/ on dictionaries and lang directories."""

from pathlib import Path

import pytest
from scripts import first_fields, run, write

GOLDEN = Path(__file__).parent / "golden"
ODD_SPACES = [  # Kaldi's validate_dict_dir.pl refuses each of these
    ("lexicon.txt", "FROB AA", "\u00a0"),
    ("lexicon.txt", "FROB AA", "\u3000"),
    ("silence_phones.txt", "NSN LAU", "\u00a0"),
    ("nonsilence_phones.txt", "A1 A2", "\u3000"),
    ("optional_silence.txt", "SPN ", "\u00a0"),
    ("extra_questions.txt", "AA SIL", "\u2003"),
]


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
            *((name, line.replace(" ", space), "white space other than blanks") for name, line, space in ODD_SPACES),
        ],
    )
    def test_dictionary_errors(self, tmp_path: Path, name: str, line: str, message: str) -> None:
        for file in (GOLDEN / "dict").iterdir():
            if file.name != "lexiconp.txt":
                (tmp_path / file.name).write_text(file.read_text() + (line + "\n" if file.name == name else ""))
        errors = run("utils/validate_dict_dir.pl", tmp_path, fails=True).stderr
        assert message in errors and name in errors

    def test_odd_space_in_a_plain_lexicon(self, tmp_path: Path) -> None:
        lexicon = write(tmp_path / "lexicon.txt", "ONE W AH N", "TWO T\u00a0UW")
        errors = run("local/prepare_dict.sh", lexicon, tmp_path / "dict", fails=True).stderr
        assert f"{lexicon}, line 2: white space" in errors and not (tmp_path / "dict").exists()

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
