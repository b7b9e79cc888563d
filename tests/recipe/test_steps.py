"""steps/ and local/score.sh on four synthetic speakers: features, every kind of GMM, alignment, decoding, scoring."""

import gzip
import math
import shutil
import subprocess
from pathlib import Path

import pytest
from recipe_copy import link_recipe

CORPUS = """--mini-train-speakers 4 --mini-train-minutes 2 --mini-dev-speakers 2 --mini-dev-minutes 0.3
    --mini-test-speakers 2 --mini-test-minutes 0.3""".split()
SHORT = ["--num-iters", "5", "--max-iter-inc", "3", "--realign-iters", "1 2 4"]

pytestmark = pytest.mark.slow


class Recipe:
    """A copy of the recipe, made of links, to run its scripts in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        link_recipe(directory)

    def __call__(self, *command: str, fails: bool = False) -> subprocess.CompletedProcess:
        """Run a command, its words separated by blanks or given one by one, and expect success or failure."""
        words = command[0].split() + list(command[1:])
        done = subprocess.run(
            ["bash", "-c", '. ./path.sh && "$@"', "test", *words], cwd=self.directory, capture_output=True, text=True
        )
        assert (done.returncode != 0) == fails, done.stdout[-2000:] + done.stderr[-3000:]
        return done

    def lines(self, name: str) -> list[str]:
        path = self.directory / name
        return (gzip.open(path, "rt") if name.endswith(".gz") else path.open()).read().splitlines()

    def files(self, directory: str) -> set[str]:
        return {path.name for path in (self.directory / directory).iterdir()}


def write_unigrams(words: set[str], path: Path) -> None:
    """An ARPA model in which all words are equally likely."""
    cost = -math.log10(len(words) + 1)
    unigrams = "".join(f"{cost} {word}\n" for word in ["</s>", *sorted(words)])
    path.write_text(f"\\data\\\nngram 1={len(words) + 2}\n\n\\1-grams:\n-99 <s>\n{unigrams}\n\\end\\\n")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """The corpus with features and a lang directory."""
    recipe = Recipe(tmp_path_factory.mktemp("steps"))
    recipe("egs/mini/prepare.sh --nj 1", *CORPUS, "data")
    recipe("utils/prepare_lang.sh data/local/dict <UNK> data/local/lang data/lang")
    vocabulary = {line.split()[0] for line in recipe.lines("data/local/dict/lexicon.txt")}
    write_unigrams(vocabulary - {"!SIL", "<UNK>"}, recipe.directory / "lm.arpa")
    recipe("utils/format_lm.sh data/lang lm.arpa data/local/dict/lexicon.txt data/lang_test")
    for name in ("train", "dev", "test"):
        recipe(f"steps/make_mfcc.sh --nj 2 data/{name}")
        recipe(f"steps/compute_cmvn_stats.sh data/{name}")
    return recipe


@pytest.fixture(scope="module")
def mono(recipe: Recipe) -> Recipe:
    recipe("steps/train_mono.sh --nj 2 --totgauss 150", *SHORT, "data/train", "data/lang", "exp/mono")
    return recipe


@pytest.fixture(scope="module")
def tri1(mono: Recipe) -> Recipe:
    mono("steps/align_si.sh --nj 2 --boost-silence 1.25 data/train data/lang exp/mono exp/mono_ali")
    mono("steps/train_deltas.sh", *SHORT, "60", "200", "data/train", "data/lang", "exp/mono_ali", "exp/tri1")
    return mono


@pytest.fixture(scope="module")
def tri3b(tri1: Recipe) -> Recipe:
    tri1("steps/align_si.sh --nj 2 data/train data/lang exp/tri1 exp/tri1_ali")
    tri1(
        "steps/train_lda_mllt.sh --dim 20 --splice-opts",
        "--left-context=3 --right-context=3",
        "--mllt-iters",
        "2 3",
        *SHORT,
        "60",
        "200",
        "data/train",
        "data/lang",
        "exp/tri1_ali",
        "exp/tri2b",
    )
    tri1("steps/align_si.sh --nj 2 --use-graphs true data/train data/lang exp/tri2b exp/tri2b_ali")
    tri1(
        "steps/train_sat.sh --fmllr-iters",
        "2 3",
        *SHORT,
        "60",
        "200",
        "data/train",
        "data/lang",
        "exp/tri2b_ali",
        "exp/tri3b",
    )
    tri1("utils/mkgraph.sh data/lang_test exp/tri3b exp/tri3b/graph")
    return tri1


def log_likelihood(recipe: Recipe, system: str, iteration: int) -> float:
    """The average log-likelihood per frame that the accumulation logs state."""
    logs = [recipe.lines(f"exp/{system}/log/acc.{iteration}.{job}.log") for job in (1, 2)]
    stated = [line.split() for log in logs for line in log if "Overall avg like per frame" in line]
    frames = [float(words[words.index("over") + 1]) for words in stated]
    values = [float(words[words.index("=") + 1]) for words in stated]
    return sum(f * v for f, v in zip(frames, values, strict=True)) / sum(frames)


def test_features(recipe: Recipe) -> None:
    utterances = [line.split()[0] for line in recipe.lines("data/train/utt2spk")]
    for table in ("feats.scp", "utt2num_frames", "utt2dur"):
        assert [line.split()[0] for line in recipe.lines(f"data/train/{table}")] == utterances
    assert recipe.lines("data/train/frame_shift") == ["0.01"]
    assert len(recipe.lines("data/train/cmvn.scp")) == 4
    recipe("utils/validate_data_dir.sh data/train")


def test_unreadable_recording(recipe: Recipe) -> None:
    directory = recipe.directory
    recipe("utils/copy_data_dir.sh data/dev data/bad")
    bad = recipe.lines("data/bad/wav.scp")[0].split()[0]
    shutil.rmtree(directory / "data/bad/data", ignore_errors=True)
    (directory / "broken.wav").write_bytes(b"no sound")
    scp = (directory / "data/bad/wav.scp").read_text().splitlines()
    (directory / "data/bad/wav.scp").write_text("\n".join([f"{bad} {directory}/broken.wav", *scp[1:]]) + "\n")
    errors = recipe("steps/make_mfcc.sh --nj 1 data/bad", fails=True).stderr
    assert "no features for 1 of" in errors and bad in errors
    assert not (directory / "data/bad/feats.scp").exists()
    recipe("steps/make_mfcc.sh --nj 1 --skip-unreadable true data/bad")
    assert bad not in (directory / "data/bad/text").read_text()


def test_bad_options_leave_the_old_results(recipe: Recipe) -> None:
    for option in ("--nj x", "--nj 1000", "--cmd nosuch.pl"):
        recipe(f"steps/make_mfcc.sh {option} data/dev", fails=True)
        assert {"feats.scp", "cmvn.scp", "utt2dur"} <= recipe.files("data/dev")
    decoded = recipe.directory / "exp/wrong/decode"
    decoded.mkdir(parents=True)
    (decoded / "lat.1.gz").touch()
    (decoded.parent / "final.mdl").write_text("model")
    for command in (
        "decode.sh --transform-dir exp/nosuch data/lang_test data/dev exp/wrong/decode",
        "make_fmllr_feats.sh --transform-dir exp/nosuch data-fmllr/wrong data/dev exp/wrong log ark",
    ):
        errors = recipe(f"steps/{command}", fails=True).stderr
        assert errors.count("\n") == 1 and "no fMLLR transforms (trans.1) in exp/nosuch" in errors
    assert recipe.files("exp/wrong/decode") == {"lat.1.gz"}
    assert not (recipe.directory / "data-fmllr/wrong").exists()


def test_statistics_that_cannot_be_made(recipe: Recipe) -> None:
    recipe("utils/copy_data_dir.sh data/dev data/gone")
    feats = recipe.directory / "data/gone/feats.scp"
    feats.write_text("".join(f"{line.split()[0]} /nosuch/x.ark:5\n" for line in recipe.lines("data/dev/feats.scp")))
    before = recipe.lines("data/gone/cmvn.scp")
    assert "failed on data/gone" in recipe("steps/compute_cmvn_stats.sh --fake data/gone", fails=True).stderr
    assert recipe.lines("data/gone/cmvn.scp") == before
    assert "option --fake-dims takes" in recipe("steps/compute_cmvn_stats.sh --fake-dims", fails=True).stderr
    recipe("steps/compute_cmvn_stats.sh --fake data/dev log cmvn")
    assert recipe("feat-to-dim scp:data/dev/cmvn.scp -").stdout.strip() == "14"
    recipe("steps/compute_cmvn_stats.sh data/dev")


def test_failed_alignments_are_those_of_this_run(recipe: Recipe) -> None:
    counts = {"align.1.1": 1, "align.1.2": 2, "align.2.1": 0, "align.2.2": 4, "align.1": 1, "align.2": 1}
    of_earlier_runs = {"align.1.3": 8, "align.7.1": 8, "align.3": 8}
    for name, failures in (counts | of_earlier_runs).items():
        log = recipe.directory / f"exp/counted/log/{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("WARNING (gmm) Did not successfully decode file x\n" * failures)
    script = """. steps/common_alignment.sh
        dir=exp/counted; data=d; nj=2; num_iters=7; realign_iters="1 2 7"; report_alignment align; report_training"""
    report = recipe("bash -c", script).stdout
    assert "2 utterances failed" in report and "(7 failures" in report


def test_mono(mono: Recipe) -> None:
    files = mono.files("exp/mono")
    assert {"final.mdl", "final.occs", "tree", "phones.txt", "num_jobs", "cmvn_opts", "ali.2.gz", "fsts.1.gz"} <= files
    assert not [name for name in files if name.endswith(".acc")]
    assert log_likelihood(mono, "mono", 4) > log_likelihood(mono, "mono", 1)


def test_training_goes_on_from_a_stage(mono: Recipe) -> None:
    """As after a kill: three passes, then from pass 3 on to the end."""
    options = ["--nj", "2", "--max-iter-inc", "3", "--realign-iters", "1 2 4", "data/train", "data/lang", "exp/resumed"]
    mono("steps/train_mono.sh --totgauss 150 --num-iters 3", *options)
    assert (mono.directory / "exp/resumed/final.mdl").readlink().name == "3.mdl"
    mono("steps/train_mono.sh --totgauss 150 --num-iters 5 --stage 3", *options)
    assert (mono.directory / "exp/resumed/final.mdl").readlink().name == "5.mdl"
    assert log_likelihood(mono, "resumed", 4) == pytest.approx(log_likelihood(mono, "mono", 4), abs=0.5)


def test_tri1(tri1: Recipe) -> None:
    assert {"final.mdl", "tree", "questions.qst", "ali.2.gz"} <= tri1.files("exp/tri1")
    assert log_likelihood(tri1, "tri1", 4) > log_likelihood(tri1, "mono", 4)


@pytest.fixture(scope="module")
def chain_lang(recipe: Recipe) -> str:
    """The topology that a phone crosses in a frame."""
    lang, phones = recipe.directory / "data/lang_chain", recipe.directory / "data/lang/phones"
    shutil.copytree(recipe.directory / "data/lang", lang)
    lists = [(phones / f"{kind}.csl").read_text().strip() for kind in ("nonsilence", "silence")]
    (lang / "topo").write_text(recipe("steps/nnet3/chain/gen_topo.py", *lists).stdout)
    return "data/lang_chain"


def test_tree_of_a_chain_model(tri1: Recipe, chain_lang: str) -> None:
    """At a third of the frame rate."""
    tri1(
        "steps/nnet3/chain/build_tree.sh --frame-subsampling-factor 3 --context-opts",
        "--context-width=2 --central-position=1",
        "30",
        "data/train",
        chain_lang,
        "exp/mono_ali",
        "exp/chain_tree",
    )
    assert "context-width 2" in tri1("tree-info exp/chain_tree/tree").stdout
    assert "<Tuples>" in tri1("copy-transition-model --binary=false exp/chain_tree/final.mdl -").stdout
    lengths = [
        tri1("copy-int-vector", f"ark:gunzip -c exp/{system}/ali.1.gz|", "ark,t:-").stdout.splitlines()[0].split()
        for system in ("mono_ali", "chain_tree")
    ]
    assert lengths[1][0] == lengths[0][0]
    assert len(lengths[1]) - 1 == -(-(len(lengths[0]) - 1) // 3)
    assert "a phone is there twice" in tri1("steps/nnet3/chain/gen_topo.py 1:2 2:3", fails=True).stderr


END_TO_END = """
[tiny]
objective = "lf-mmi"
subsampling = 3
layers = 1
units = 64
batch_frames = 1500
max_frames = [0]
learning_rate = 5e-3
dropout = 0.0
epochs = 3
"""


def test_a_chain_model_of_transcripts_alone(recipe: Recipe, chain_lang: str) -> None:
    """Learns, and is decoded; an utterance that is too short for its transcript is named and left out."""
    common = (recipe.directory / "conf/ligru.toml").read_text().partition("# Ravanelli")[0]
    (recipe.directory / "tables.toml").write_text(common + END_TO_END)
    recipe("utils/copy_data_dir.sh data/train data/train_long")
    first, *others = recipe.lines("data/train_long/text")
    text = "".join(line + "\n" for line in [first + 80 * (" " + first.split()[1]), *others])
    (recipe.directory / "data/train_long/text").write_text(text)
    train = "steps/nnet/train_ligru_chain.sh --end-to-end true --nj 2 --use-gpu false --model tiny"
    train += " --nnet-config tables.toml"
    done = recipe(train, "data/train_long", "data/dev", chain_lang, "exp/e2e")
    assert "3 epochs, objective" in done.stdout
    logs = "\n".join(line for job in (1, 2) for line in recipe.lines(f"exp/e2e/log/train_supervision.{job}.log"))
    assert f"{first.split()[0]} is left out: the shortest path through its graph has" in logs
    assert ", 1 with errors" in logs
    losses = [float(line.split("\t")[1]) for line in recipe.lines("exp/e2e/log.tsv")[1:]]
    assert losses[2] < losses[1] < losses[0]
    recipe("utils/mkgraph.sh --self-loop-scale 1.0 data/lang_test exp/e2e exp/e2e/graph")
    decode = "steps/nnet/decode.sh --nj 2 --use-gpu false --skip-scoring true"
    recipe(decode, "exp/e2e/graph", "data/dev", "exp/e2e", "exp/e2e/decode_dev")
    assert {"lat.1.gz", "lat.2.gz"} <= recipe.files("exp/e2e/decode_dev")
    no_chain = recipe(train, "data/train", "data/dev", "data/lang", "exp/none", fails=True)
    assert "data/lang/topo is no chain topology: make one with steps/nnet3/chain/gen_topo.py" in no_chain.stderr


def test_phones_of_transcripts(recipe: Recipe) -> None:
    """Words outside the lexicon are unknown ones; silence is where its probability says."""
    (recipe.directory / "some_text").write_text("one BLACK NOSUCHWORD\ntwo DOG\n")
    phones = "steps/nnet3/chain/e2e/text_to_phones.py --edge-silprob"
    loud, quiet = (
        recipe("bash", "-c", f"{phones} {edge} --between-silprob {1 - edge} data/lang < some_text").stdout.splitlines()
        for edge in (0, 1)
    )
    assert loud[0] == "one B_B L_I AE_I K_E SIL SPN_S"
    assert quiet[0] == "one SIL B_B L_I AE_I K_E SPN_S SIL"
    assert loud[1].split()[1:] == quiet[1].split()[2:-1]


def test_tri3b(tri3b: Recipe) -> None:
    files = tri3b.files("exp/tri3b")
    assert {"final.mdl", "final.alimdl", "final.mat", "full.mat", "splice_opts", "trans.1", "trans.2"} <= files
    assert {"final.mat", "full.mat"} <= tri3b.files("exp/tri2b_ali")
    assert "tmp_trans.1" not in files


def test_decoding_with_deltas_and_scoring(tri1: Recipe) -> None:
    tri1("utils/mkgraph.sh data/lang_test exp/tri1 exp/tri1/graph")
    assert "up to date" in tri1("utils/mkgraph.sh data/lang_test exp/tri1 exp/tri1/graph").stdout
    sweep = "--min-lmwt 8 --max-lmwt 10 --word-ins-penalty 0.0,1.0"
    tri1(
        "steps/decode.sh --nj 2 --max-active 1000 --scoring-opts",
        sweep,
        "exp/tri1/graph",
        "data/dev",
        "exp/tri1/decode_dev",
    )
    scoring = "exp/tri1/decode_dev/scoring_kaldi"
    assert {"penalty_0.0", "penalty_1.0", "best_wer", "wer_details", "test_filt.txt"} <= tri1.files(scoring)
    rates = {}
    for weight in (8, 9, 10):
        for penalty in ("0.0", "1.0"):
            assert len(tri1.lines(f"{scoring}/penalty_{penalty}/{weight}.txt")) == len(tri1.lines("data/dev/text"))
            rates[weight, penalty] = float(tri1.lines(f"exp/tri1/decode_dev/wer_{weight}_{penalty}")[0].split()[1])
    best = tri1.lines(f"{scoring}/best_wer")[0].split()
    weight, penalty = tri1.lines(f"{scoring}/wer_details/lmwt")[0], tri1.lines(f"{scoring}/wer_details/wip")[0]
    assert best[-1] == f"exp/tri1/decode_dev/wer_{weight}_{penalty}"
    assert float(best[1]) == min(rates.values()) == rates[int(weight), penalty] < 85  # without a grammar

    tri1(
        "steps/decode.sh --nj 1 --max-active 1000 --scoring-opts",
        "--tuned-on exp/tri1/decode_dev",
        "exp/tri1/graph",
        "data/test",
        "exp/tri1/decode_test",
    )
    assert {n for n in tri1.files("exp/tri1/decode_test") if n.startswith("wer")} == {f"wer_{weight}_{penalty}"}


def test_decoding_with_a_network(mono: Recipe) -> None:
    """A GMM in the place of the network: the same words as by steps/decode.sh."""
    mono("utils/mkgraph.sh data/lang_test exp/mono exp/mono/graph")
    network = mono.directory / "exp/network"
    network.mkdir()
    shutil.copy(mono.directory / "exp/mono/final.mdl", network / "final.mdl")
    (network / "cmvn_opts").write_text("\n")
    forward = mono.directory / "forward.sh"
    forward.write_text("""#!/usr/bin/env bash
[ "$1 $2 $3 $4" = "--use-gpu false --prior-scale 0.5" ] &&
  gmm-compute-likes "$5/final.mdl" "$6 add-deltas ark:- ark:- |" "$7"
""")
    forward.chmod(0o755)
    options = "--nj 2 --acwt 0.08 --beam 13 --lattice-beam 6 --max-active 1000 --scoring-opts".split()
    weights = "--min-lmwt 10 --max-lmwt 10 --word-ins-penalty 0.0"
    mono("steps/decode.sh", *options, weights, "exp/mono/graph", "data/dev", "exp/mono/decode_dev")
    mono(
        "steps/nnet/decode.sh --use-gpu false --prior-scale 0.5 --forward-cmd ./forward.sh",
        *options,
        weights,
        "exp/mono/graph",
        "data/dev",
        "exp/network",
        "exp/network/decode_dev",
    )
    words = "scoring_kaldi/penalty_0.0/10.txt"
    assert mono.lines(f"exp/network/decode_dev/{words}") == mono.lines(f"exp/mono/decode_dev/{words}")


def test_score_needs_a_tuned_decoding(tri1: Recipe) -> None:
    errors = tri1("local/score.sh --tuned-on exp/nosuch data/dev data/lang exp/tri1/nosuch", fails=True).stderr
    assert errors.count("\n") == 1 and "exp/tri1/nosuch/lat.1.gz is missing" in errors


def test_fmllr_decoding_alignment_and_features(tri3b: Recipe) -> None:
    tri3b(
        "steps/decode_fmllr.sh --nj 2 --num-threads 2 --max-active 1000 --skip-scoring true exp/tri3b/graph data/dev "
        "exp/tri3b/decode_dev"
    )
    assert {"lat.1.gz", "lat.2.gz", "trans.1", "trans.2", "num_jobs"} <= tri3b.files("exp/tri3b/decode_dev")
    assert not [n for n in tri3b.files("exp/tri3b/decode_dev") if "tmp" in n or n.startswith("pre_trans")]
    tri3b("steps/align_fmllr.sh --nj 1 data/dev data/lang exp/tri3b exp/tri3b_ali_dev")
    assert {"ali.1.gz", "trans.1", "final.alimdl"} <= tri3b.files("exp/tri3b_ali_dev")

    # Features by two jobs from the transforms of one.
    tri3b(
        "steps/make_fmllr_feats.sh --nj 2 --transform-dir exp/tri3b_ali_dev data-fmllr/dev data/dev exp/tri3b "
        "data-fmllr/log data-fmllr/ark"
    )
    assert len(tri3b.lines("data-fmllr/dev/feats.scp")) == len(tri3b.lines("data/dev/feats.scp"))
    assert not (tri3b.directory / "data-fmllr/dev/cmvn.scp").exists()
    assert tri3b("feat-to-dim scp:data-fmllr/dev/feats.scp -").stdout.strip() == "20"


def test_pronunciations_of_alignments_and_lattices(tri3b: Recipe) -> None:
    tri3b("steps/align_fmllr.sh --nj 2 data/dev data/lang exp/tri3b exp/tri3b_ali_prons")
    tri3b("steps/get_prons.sh data/dev data/lang exp/tri3b_ali_prons")
    counted = tri3b.lines("exp/tri3b_ali_prons/pron_counts_nowb.txt")
    words = [word for line in tri3b.lines("data/dev/text") for word in line.split()[1:]]
    assert sum(int(line.split()[0]) for line in counted if line.split()[1] != "<eps>") == len(words)
    tri3b("cp -r data/lang data/lang_without_positions")
    tri3b("rm data/lang_without_positions/phones/word_boundary.int")
    tri3b("steps/get_prons.sh --stage 1 data/dev data/lang_without_positions exp/tri3b_ali_prons")
    assert tri3b.lines("exp/tri3b_ali_prons/pron_counts_nowb.txt") == counted  # by the lexicon, the same


def test_transcripts_that_do_not_fit(tri3b: Recipe) -> None:
    tri3b("utils/copy_data_dir.sh data/dev data/dev_wrong")
    text = tri3b.lines("data/dev_wrong/text")
    words = [line.split() for line in text]
    donor = next(other for other in words[1:] if not set(other[1:]) & set(words[0][1:]))
    text[0] = " ".join([words[0][0], *donor[1:], "UNHEARDOF"])
    (tri3b.directory / "data/dev_wrong/text").write_text("".join(line + "\n" for line in text))
    tri3b("steps/align_fmllr.sh --nj 2 data/dev data/lang exp/tri3b exp/tri3b_ali_check")
    done = tri3b("local/check_transcripts.sh --nj 1 data/dev_wrong data/lang exp/tri3b_ali_check exp/check")
    rows = [line.split("\t") for line in tri3b.lines("exp/check/transcripts.tsv")]
    assert len(rows) == len(text)
    assert rows[0][3] == words[0][0]
    assert float(rows[0][0]) >= 0.5
    assert "UNHEARDOF-]" in rows[0][5]
    assert sum(float(row[0]) < 0.3 for row in rows) > len(rows) / 2
    assert f"of {len(rows)} transcripts have 0.3 or more errors per word" in done.stdout
    missing = tri3b("local/check_transcripts.sh data/dev_wrong data/lang exp/none exp/check2", fails=True)
    assert missing.stderr == "local/check_transcripts.sh: exp/none/final.mdl is missing or empty\n"


def test_lattices_of_the_transcripts(tri3b: Recipe) -> None:
    tri3b("steps/align_fmllr_lats.sh --nj 2 --generate-ali-from-lats true data/dev data/lang exp/tri3b exp/tri3b_lats")
    assert {"lat.2.gz", "ali.2.gz", "trans.2", "tree", "final.mdl"} <= tri3b.files("exp/tri3b_lats")
    assert "pre_ali.1.gz" not in tri3b.files("exp/tri3b_lats")
    phones = "lattice-align-phones --replace-output-symbols=true exp/tri3b_lats/final.mdl ark:- ark:- |"
    supervisions = tri3b(
        "chain-get-supervision --lattice-input=true exp/tri3b_lats/tree exp/tri3b_lats/final.mdl",
        f"ark:gunzip -c exp/tri3b_lats/lat.*.gz | {phones}",
        "ark,t:-",
    ).stdout
    assert supervisions.count("</Supervision>") == len(tri3b.lines("data/dev/text"))


def test_unknown_option_and_missing_input(recipe: Recipe) -> None:
    for script in ("train_mono", "train_sat", "align_si", "decode_fmllr", "make_mfcc"):
        assert "unknown option --nosuch" in recipe(f"steps/{script}.sh --nosuch 1", fails=True).stderr
    assert "--max-iter-inc takes" in recipe("steps/train_deltas.sh --max-iter-inc 0 1 1 a b c d", fails=True).stderr
    errors = recipe("steps/train_mono.sh data/nosuch data/lang exp/x", fails=True).stderr
    assert errors == "steps/train_mono.sh: data/nosuch/feats.scp is missing or empty\n"
