"""The whole recipe on a few synthetic speakers, in a copy of the recipe made of links."""

import csv
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import soundfile
from encoder_task import tiny_encoder
from recipe_copy import ROOT, TINY, link_recipe

ALL = [
    *TINY,
    *"--chain-model small_chain --chain-epochs 2 --chain-leaves 60 --pron-probs true".split(),
    *"--babble-chance 0.5 --test-snrs 0".split(),
    *"--nj 1".split(),  # most of a job's time is the programs' start; several are tested in test_steps.py
]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("recipe")
    link_recipe(copy)
    return copy


def run(recipe: Path, *options: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "KALDI_ROOT"} | variables
    return subprocess.run(["./run.sh", *options], cwd=recipe, env=environment, capture_output=True, text=True)


def one_line_error(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_every_corpus_has_all_variables_of_the_recipe() -> None:
    def variables(conf: Path) -> set[str]:
        return set(re.findall(r"^(\w+)=", conf.read_text(), re.M))

    own = r"(mini|so762|kaldi|myst|cmu_kids|cslu_kids)_"  # of the corpus' own prepare.sh
    found = {
        conf: {name for name in variables(conf) if not re.match(own, name)} for conf in ROOT.glob("egs/*/corpus.conf")
    }
    assert len(found) >= 6
    for conf, names in found.items():
        assert names == found[ROOT / "egs/mini/corpus.conf"], conf


def test_unknown_corpus_is_named_with_the_known_ones(recipe: Path) -> None:
    message = one_line_error(run(recipe, "--corpus", "nosuch"))
    assert "nosuch" in message and "mini" in message


def test_unknown_option(recipe: Path) -> None:
    assert "--nosuch" in one_line_error(run(recipe, "--nosuch", "1"))


def test_threads_of_a_training_are_a_number(recipe: Path) -> None:
    assert "--train-threads takes a number, not '0'" in one_line_error(run(recipe, "--train-threads", "0"))


def test_the_environment_goes_before_cmd_sh(recipe: Path) -> None:
    show = ["bash", "-c", '. ./cmd.sh; echo "$train_cmd, $decode_cmd, $cuda_cmd"']
    environment = {"train_cmd": "slurm.pl --mem 2G", "cuda_cmd": "queue.pl"}
    done = subprocess.run(show, cwd=recipe, env=os.environ | environment, capture_output=True, text=True)
    assert done.stdout == "slurm.pl --mem 2G, run.pl, queue.pl\n"


@pytest.mark.parametrize("stages", [("--stage", "20"), ("--stage", "5", "--stop-stage", "4")])
def test_no_such_stages(recipe: Path, stages: tuple[str, ...]) -> None:
    assert f"--stage {stages[1]}" in one_line_error(run(recipe, *stages))


def test_no_such_ratios(recipe: Path) -> None:
    assert "--test-snrs takes numbers" in one_line_error(run(recipe, "--test-snrs", "5 dB"))


def test_no_such_number_of_utterances(recipe: Path) -> None:
    assert "--mono-utts takes a number of utterances, not 'some'" in one_line_error(run(recipe, "--mono-utts", "some"))


def test_archives_or_files(recipe: Path) -> None:
    assert "--audio-archives takes true or false, not 'yes'" in one_line_error(run(recipe, "--audio-archives", "yes"))


def test_kaldi_root_without_compiled_kaldi(recipe: Path, tmp_path: Path) -> None:
    assert "no compiled Kaldi" in one_line_error(run(recipe, KALDI_ROOT=str(tmp_path)))


def test_no_such_encoder_is_said_at_once(recipe: Path) -> None:
    pytest.importorskip("ctranslate2")
    assert "nosuch: neither a folder nor one of tiny.en" in one_line_error(run(recipe, "--encoder", "nosuch"))


def test_no_such_network(recipe: Path) -> None:
    assert "--ligru-networks takes ligru, ligru_segan" in one_line_error(run(recipe, "--ligru-networks", "ligru,gru"))
    assert "needs an encoder" in one_line_error(run(recipe, "--ligru-networks", "ligru_encoder"))


def make_smaller(recipe: Path) -> None:
    """Less of what makes no difference to how the stages hang together: passes over the data, units, search."""
    for folder in ("conf", "steps"):
        (recipe / folder).unlink()
        shutil.copytree(ROOT / folder, recipe / folder)

    def change(file: str, pattern: str, new: str) -> None:
        path = recipe / file
        text, count = re.subn(pattern, new, path.read_text(), flags=re.M)
        assert count, pattern
        path.write_text(text)

    change("steps/train_mono.sh", r"^num_iters=40$", "num_iters=15")
    change("steps/common_triphone.sh", r"^num_iters=35$", "num_iters=14")  # the last fMLLR is estimated in pass 12
    change("conf/ligru.toml", r"^units = \d+$", "units = 32")
    # Networks that have learned little tell few words from others: a wide search would take minutes.
    for search in ("nnet", "whisper"):
        change(f"conf/decode_{search}.conf", r"\Z", "max_active=300\n")


@pytest.mark.slow
def test_all_stages_then_one_again(recipe: Path) -> None:
    systems, encoder = ["tri3b", "ligru", "ligru_segan", "ligru_chain"], []
    if find_spec("ctranslate2"):
        systems, encoder = (
            [*systems, *(f"ligru_{name}encoder{whisper}" for name in ("", "chain_") for whisper in ("", "_whisper"))],
            [
                *("--encoder", str(tiny_encoder(recipe / "models/tiny"))),
                *("--encoder-epochs", "1", "--encoder-layers", "1", "--encoder-copies", "2"),
            ],
        )
    make_smaller(recipe)
    begun = run(recipe, *ALL, *encoder, "--stop-stage", "10")
    assert begun.returncode == 0, begun.stderr[-3000:]
    done = run(recipe, *ALL, *encoder)  # the same command goes on
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.findall(r"run\.sh: stage (\d+) ", done.stderr) == ["11", "12", "13"]
    with (recipe / "exp/results.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    rates = {(r["system"], r["test_set"], r["condition"]): float(r["value"]) for r in rows if r["metric"] == "WER"}
    expected = {(s, t, "clean") for s in ("mono", "tri1", "tri2b") for t in ("dev", "test")}
    for system in systems:
        expected |= {(system, t, c) for t in ("dev", "test") for c in ("clean", "noisy", "enhanced")}
        expected |= {(system, "test", c) for c in ("noisy_0dB", "enhanced_0dB")}
    assert set(rates) == expected
    assert rates["tri3b", "test", "clean"] < 60
    assert len((recipe / "data/train_mono/text").read_text().splitlines()) == 40
    assert "Word error rate" in done.stdout
    page = (recipe / "exp/report/index.html").read_text()
    stages = (recipe / "exp/stages.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in stages[1:]] == [str(stage) for stage in range(14)]
    assert stages[1].split("\t")[3].startswith("./run.sh --mini-train-speakers 6 ")
    assert all(int(size) > 0 for line in stages[1:] for size in line.split("\t")[4:6])
    assert "mono" in page and page.count("<audio") == 3 * len(list((recipe / "exp/segan/examples").glob("*.png"))) > 0

    # Words and their times by a chain model, whose frames are three of the others.
    recording = (recipe / "data/test/wav.scp").read_text().split()[1]
    heard = subprocess.run(
        ["local/transcribe.sh", "--use-gpu", "false", "--dir", "heard", "exp/ligru_chain", recording],
        cwd=recipe,
        capture_output=True,
        text=True,
    )
    assert heard.returncode == 0, heard.stderr[-3000:]
    ends = [
        float(start) + float(length)
        for _, _, start, length, _ in csv.reader((recipe / "heard/ctm").open(), delimiter=" ")
    ]
    seconds = soundfile.info(recording).duration
    assert ends == sorted(ends) and 0.5 * seconds < ends[-1] <= seconds

    lexicon = recipe / "data/lang/L.fst"
    before = lexicon.stat().st_mtime_ns
    again = run(recipe, *ALL, "--stage", "1", "--stop-stage", "1")
    assert again.returncode == 0, again.stderr[-3000:]
    assert lexicon.stat().st_mtime_ns > before
    assert (recipe / "exp/.finished").read_text() == "13\n"
    noise = ("--noise-dir", "data/local/noise/wav")  # those of the first run
    anew = run(recipe, *ALL, *noise, "--mini-train-minutes", "0.5", "--stage", "0", "--stop-stage", "0")
    assert anew.returncode == 0, anew.stderr[-3000:]
    assert (recipe / "exp/.finished").read_text() == "0\n"
