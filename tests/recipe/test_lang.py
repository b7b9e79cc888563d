"""utils/ on dictionaries and lang directories."""

from pathlib import Path

import pytest
from scripts import first_fields, run, write

GOLDEN = Path(__file__).parent / "golden"
SILPROB = GOLDEN / "silprob"
ODD_SPACES = [  # Kaldi's validate_dict_dir.pl refuses each of these
    ("lexicon.txt", "FROB AA", "\u00a0"),
    ("lexicon.txt", "FROB AA", "\u3000"),
    ("silence_phones.txt", "NSN LAU", "\u00a0"),
    ("nonsilence_phones.txt", "A1 A2", "\u3000"),
    ("optional_silence.txt", "SPN ", "\u00a0"),
    ("extra_questions.txt", "AA SIL", "\u2003"),
]


def canonical(printed: str) -> list[tuple]:
    """The arcs and final states of a printed FST, states numbered in the order in which the arcs lead to them."""
    arcs: dict[str, list] = {}
    finals = {}
    for fields in (line.split("\t") for line in printed.splitlines()):
        if len(fields) <= 2:
            finals[fields[0]] = float(fields[1]) if len(fields) == 2 else 0.0
        else:
            state, to, ilabel, olabel, *cost = fields
            arcs.setdefault(state, []).append((int(ilabel), int(olabel), float(cost[0]) if cost else 0.0, to))
    order, result = [next(iter(arcs))], []
    for state in order:
        for ilabel, olabel, cost, to in sorted(arcs.get(state, [])):
            if to not in order:
                order.append(to)
            result.append((order.index(state), order.index(to), ilabel, olabel, pytest.approx(cost, abs=1e-5)))
        if state in finals:
            result.append((order.index(state), pytest.approx(finals[state], abs=1e-5)))
    return result


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

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("case", "options"),
        [
            ("silprob", []),
            ("silprob_unk", ["--unk-fst", SILPROB / "unk_fst.txt"]),
            ("unk", ["--sil-prob", "0.3", "--unk-fst", SILPROB / "unk_fst.txt"]),
        ],
    )
    def test_silence_of_words_and_sound_of_unknown_words(self, tmp_path: Path, case: str, options: list) -> None:
        """Against what Kaldi's prepare_lang.sh made of the same dictionary; FSTs may number their states otherwise."""
        run("cp", "-r", SILPROB / "dict", tmp_path)
        if case == "unk":
            for name in ("lexiconp_silprob.txt", "silprob.txt"):
                (tmp_path / "dict" / name).unlink()
        lang = tmp_path / "lang"
        run("utils/prepare_lang.sh", *options, tmp_path / "dict", "<unk>", tmp_path / "tmp", lang)
        for name in ("L", "L_disambig"):
            ours = canonical(run("fstprint", lang / f"{name}.fst").stdout)
            assert ours == canonical((SILPROB / case / f"{name}.txt").read_text())
        assert (lang / "phones.txt").read_text() == (SILPROB / case / "phones.txt").read_text()
        align_lexicon = (SILPROB / case / "align_lexicon.txt").read_text()
        assert (lang / "phones/align_lexicon.txt").read_text() == align_lexicon

    def test_a_word_always_followed_by_silence(self, tmp_path: Path) -> None:
        """Kaldi takes a probability of 1 in the dictionary, and stops at the logarithm of 0 afterwards."""
        lexicon = write(tmp_path / "lexicon", "a 1 1.0 1 1 A")
        silprobs = write(tmp_path / "silprob.txt", "<s> 1", "</s>_s 1", "</s>_n 1", "overall 0.5")
        options = ("--silprobs", silprobs, "--sil-phone", "SIL")
        assert run("utils/lang/make_lexicon_fst.pl", *options, lexicon).stdout.splitlines() == [
            "0\t2\tSIL\t<eps>\t0",
            "1\t3\tA\ta\t0",
            "2\t3\tA\ta\t0",
            "3\t2\tSIL\t<eps>\t0",
            "2\t0",
            "1\t0",
        ]

    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [  # Kaldi's scripts refuse all of them
            ("lexiconp_silprob.txt", "0.05", "1.05", "word 'ab' needs a probability of silence in (0, 1], not '1.05'"),
            ("lexiconp_silprob.txt", "0.05", "0", "word 'ab' needs a probability of silence in (0, 1], not '0'"),
            ("lexiconp_silprob.txt", "1.5", "-1.5", "word 'ab' needs a factor above 0, not '-1.5'"),
            ("lexiconp_silprob.txt", "A B", "B A", "lexiconp_silprob.txt and lexiconp.txt differ in"),
            ("silprob.txt", "<s> 0.99", "<s> 1.99", "<s> needs a probability in (0, 1], not '1.99'"),
            ("silprob.txt", "</s>_s 1.7", "</s>_s 0", "</s>_s needs a factor above 0, not '0'"),
            ("silprob.txt", "</s>_n", "</s>_x", "line 3: expected one line each for <s>, </s>_s, </s>_n and overall"),
            ("silprob.txt", "overall 0.4\n", "", "silprob.txt has no line for overall"),
        ],
    )
    def test_errors_in_silence_probabilities(self, tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
        run("cp", "-r", SILPROB / "dict", tmp_path)
        file = tmp_path / "dict" / name
        file.write_text(file.read_text().replace(old, new))
        assert message in run("utils/validate_dict_dir.pl", tmp_path / "dict", fails=True).stderr

    def test_one_file_of_silence_probabilities_without_the_other(self, tmp_path: Path) -> None:
        run("cp", "-r", SILPROB / "dict", tmp_path)
        (tmp_path / "dict/silprob.txt").rename(tmp_path / "silprob.txt")
        errors = run("utils/validate_dict_dir.pl", tmp_path / "dict", fails=True).stderr
        assert "silprob.txt is missing" in errors and errors.count("\n") == 1
        (tmp_path / "silprob.txt").rename(tmp_path / "dict/silprob.txt")
        (tmp_path / "dict/lexiconp_silprob.txt").unlink()
        errors = run("utils/validate_dict_dir.pl", tmp_path / "dict", fails=True).stderr
        assert "lexiconp_silprob.txt is missing, but silprob.txt is there" in errors

    def test_unknown_words_that_cannot_be_made(self, tmp_path: Path) -> None:
        run("cp", "-r", SILPROB / "dict", tmp_path)
        for name in ("lexiconp.txt", "lexiconp_silprob.txt", "silprob.txt"):
            (tmp_path / "dict" / name).unlink()
        with (tmp_path / "dict/lexicon.txt").open("a") as lexicon:
            lexicon.write("ab B\n")
        prepare = ["utils/prepare_lang.sh", "--unk-fst", SILPROB / "unk_fst.txt"]
        where = [tmp_path / "tmp", tmp_path / "lang"]
        errors = run(*prepare, tmp_path / "dict", "ab", *where, fails=True).stderr
        assert "the word ab must have exactly one pronunciation" in errors
        prepare[-1] = tmp_path / "nosuch"
        errors = run(*prepare, tmp_path / "dict", "<unk>", *where, fails=True).stderr
        assert "nosuch of --unk-fst is missing" in errors

    def test_input_that_only_some_dictionaries_have(self, tmp_path: Path) -> None:
        run("cp", "-r", SILPROB / "dict", tmp_path)
        boundaries = write(tmp_path / "dict/word_boundary.txt", "SIL nonword", "SPN nonword", "A begin", "B end")
        prepare = ["utils/prepare_lang.sh", "--position-dependent-phones", "false"]
        where = [tmp_path / "dict", "<unk>", tmp_path / "tmp", tmp_path / "lang"]
        run(*prepare, *where)
        assert (tmp_path / "lang/phones/word_boundary.txt").read_text() == boundaries.read_text()
        assert (tmp_path / "lang/phones/word_boundary.int").read_text().split()[::2] == ["1", "2", "3", "4"]
        write(tmp_path / "dict/nonterminals.txt", "#nonterm:name")
        assert "grammars with nonterminals are not supported" in run(*prepare, *where, fails=True).stderr

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
