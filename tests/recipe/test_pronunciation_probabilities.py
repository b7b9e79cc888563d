"""Probabilities of pronunciations and of silence: steps/count_pronunciations.py, utils/dict_dir_add_pronprobs.sh."""

from pathlib import Path

from scripts import run, write

PRONS = """u1 0 5 <eps> SIL
u1 5 9 A AH_S
u1 14 9 CAT K_B AE_I T_E
u1 23 5 <eps> SIL
u2 0 9 A EY_S
u2 9 5 <eps> SIL
u2 14 9 CAT K_B AE_I T_E
u3 0 9 A AH_S
u3 9 9 CAT K_B AE_I T_E
"""


def counts(tmp_path: Path) -> list[Path]:
    """The counts of PRONS, for utils/dict_dir_add_pronprobs.sh."""
    run("steps/count_pronunciations.py", tmp_path, stdin=PRONS)
    return [tmp_path / f"{name}_counts_nowb.txt" for name in ("pron", "sil", "pron_bigram")]


def dictionary(path: Path) -> Path:
    write(path / "silence_phones.txt", "SIL", "SPN")
    write(path / "nonsilence_phones.txt", "AE", "AH", "EY", "K", "T")
    write(path / "optional_silence.txt", "SIL")
    write(path / "lexicon.txt", "<UNK> SPN", "A  AH", "A EY", "CAT K AE T", "CAT K T")
    return path


def test_counts(tmp_path: Path) -> None:
    prons, silence, bigrams = counts(tmp_path)
    assert (tmp_path / "pron_counts.txt").read_text().splitlines()[:2] == ["3 <eps> SIL", "3 CAT K_B AE_I T_E"]
    assert prons.read_text().splitlines() == ["3 <eps> SIL", "3 CAT K AE T", "2 A AH", "1 A EY"]
    assert silence.read_text().splitlines() == [  # before, not before, after, not after
        "1 2 0 0 </s>",
        "0 0 1 2 <s>",
        "1 1 0 2 A AH",
        "0 1 1 0 A EY",
        "1 2 1 2 CAT K AE T",
    ]
    assert bigrams.read_text().splitlines() == [
        "2\t<s>\tA AH",
        "1\t<s>\tA EY",
        "2\tA AH\tCAT K AE T",
        "1\tA EY\tCAT K AE T",
        "3\tCAT K AE T\t</s>",
    ]


def test_probabilities(tmp_path: Path) -> None:
    old, new = dictionary(tmp_path / "dict"), tmp_path / "dict_prons"
    run("utils/dict_dir_add_pronprobs.sh", old, *counts(tmp_path), new)
    # overall 3/9; A AH: P = (0 + 2 * 0.33) / (2 + 2); before it only <s>: (1 + 2) / (0 + 2), (1 + 2) / (2 + 2)
    # CAT: expects 2 * P(A AH) + P(A EY) = 2 * 0.17 + 0.55 silences: (1 + 2) / (0.89 + 2), (2 + 2) / (2.11 + 2)
    assert (new / "lexiconp_silprob.txt").read_text().splitlines() == [
        "<UNK> 1 0.33 1.00 1.00 SPN",
        "A 1 0.17 1.50 0.75 AH",
        "A 0.666667 0.55 1.00 1.00 EY",
        "CAT 1 0.33 1.04 0.97 K AE T",
        "CAT 0.25 0.33 1.00 1.00 K T",
    ]
    values = dict(line.split() for line in (new / "silprob.txt").read_text().splitlines())
    assert (values["<s>"], values["overall"]) == ("0.33", "0.33")
    assert abs(float(values["</s>_s"]) - 3 / (3 * 0.33 + 2)) < 1e-9
    assert abs(float(values["</s>_n"]) - 4 / (3 * 0.67 + 2)) < 1e-9
    run("utils/prepare_lang.sh", new, "<UNK>", tmp_path / "tmp", tmp_path / "lang")


def test_only_pronunciations_that_sum_to_one(tmp_path: Path) -> None:
    old, new = dictionary(tmp_path / "dict"), tmp_path / "dict_prons"
    run("utils/dict_dir_add_pronprobs.sh", "--max-normalize", "false", old, counts(tmp_path)[0], new)
    assert (new / "lexiconp.txt").read_text().splitlines() == [
        "<UNK> 1 SPN",
        "A 0.6 AH",
        "A 0.4 EY",
        "CAT 0.8 K AE T",
        "CAT 0.2 K T",
    ]
    assert not (new / "lexiconp_silprob.txt").exists()


def test_bad_counts_are_named(tmp_path: Path) -> None:
    old = dictionary(tmp_path / "dict")
    bad = write(tmp_path / "bad", "many A AH")
    done = run("utils/dict_dir_add_pronprobs.sh", old, bad, tmp_path / "new", fails=True)
    assert f"{bad}: line 1 is not 1 count(s) and words" in done.stderr
    done = run("utils/dict_dir_add_pronprobs.sh", old, tmp_path / "none", tmp_path / "new", fails=True)
    assert done.stderr == f"utils/dict_dir_add_pronprobs.sh: {tmp_path}/none is missing or empty\n"
    done = run("utils/dict_dir_add_pronprobs.sh", old, counts(tmp_path)[0], old, fails=True)
    assert "would be overwritten" in done.stderr
