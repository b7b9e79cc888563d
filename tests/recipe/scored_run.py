"""A finished run in small for the tests of what is made of one: two systems, clean and noisy, three speakers."""

from __future__ import annotations

from pathlib import Path

from scripts import write

TEXT = {"s1-a": "ONE TWO", "s1-b": "THREE", "s2-a": "ONE TWO THREE", "s3-a": "TWO"}
HEARD = {
    ("tri3b", ""): {"s1-a": "ONE TWO", "s1-b": "TWO", "s2-a": "ONE THREE", "s3-a": "TWO TWO"},
    ("tri3b", "_noisy"): {"s1-a": "TWO", "s1-b": "TWO", "s2-a": "", "s3-a": "ONE"},
    ("ligru", ""): TEXT,
    ("ligru", "_noisy"): {"s1-a": "ONE TWO", "s1-b": "TWO", "s2-a": "ONE TWO THREE"},
}
LEXICON = ["ONE ONE HH_B W_I AH_I N_E", "ONE ONE W_B AH_I N_E", "THREE THREE TH_B R_I IY_E", "TWO TWO T_B UW_E"]
RATES = {("tri3b", ""): 42.86, ("tri3b", "_noisy"): 85.71, ("ligru", ""): 0.0, ("ligru", "_noisy"): 16.67}


def write_run(folder: Path) -> Path:
    """data/test, data/test_noisy, data/lang_test and exp with the decodings and results.tsv; returns the folder."""
    lang = folder / "data/lang_test"
    write(lang / "phones/align_lexicon.txt", "<eps> <eps> SIL", "<UNK> <UNK> SPN_S", *LEXICON)
    write(lang / "oov.txt", "<UNK>")
    for suffix in ("", "_noisy"):
        data = folder / f"data/test{suffix}"
        write(data / "utt2spk", *(f"{utterance} {utterance[:2]}" for utterance in TEXT))
        write(data / "spk2gender", "s1 f", "s2 m", "s3 f")
        write(data / "spk2age", "s1 10", "s2 9", "s3 10")
    write(folder / "data/test_noisy/utt2snr", "s1-a -4.9", "s1-b 0.4", "s2-a 14.0", "s3-a -1.3")
    lines = ["system\ttest_set\tcondition\tmetric\tvalue"]
    for (system, suffix), heard in HEARD.items():
        scoring = folder / f"exp/{system}/decode_test{suffix}/scoring_kaldi"
        write(scoring / "wer_details/lmwt", "10")
        write(scoring / "wer_details/wip", "0.0")
        write(scoring / "test_filt.txt", *(f"{utterance} {words}" for utterance, words in TEXT.items()))
        write(scoring / "penalty_0.0/10.txt", *(f"{utterance} {words}" for utterance, words in heard.items()))
        write(scoring / "best_wer", f"%WER {RATES[system, suffix]}")
        lines.append(f"{system}\ttest\t{suffix[1:] or 'clean'}\tWER\t{RATES[system, suffix]}")
    write(folder / "exp/results.tsv", *lines)
    return folder
