"""Copies of data directories at other speeds."""

import shutil
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_dirs import assert_fails_in_one_line, run, write_data_dir
from encoder_task import tiny_encoder
from recipe_copy import ROOT, link_recipe
from text_files import write_files

from local import change_speed as speed_program
from local.audio import read_audio
from local.change_speed import change_speed


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = write_data_dir(tmp_path / "data", {"s1-a": "ONE", "s1-b": "TWO"})
    (data / "spk2gender").write_text("s1 f\n")
    return data


@pytest.mark.parametrize("factor", ["0.9", "1.1"])
def test_length_and_pitch(factor: str) -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(16000) / 16000)
    changed = change_speed(tone, Fraction(factor))
    assert len(changed) == np.ceil(16000 / float(factor))
    spectrum = np.abs(np.fft.rfft(changed * np.hanning(len(changed))))
    assert spectrum.argmax() * 16000 / len(changed) == pytest.approx(500 * float(factor), abs=1)


@pytest.mark.slow
def test_three_ways(data: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "three"
    assert run("utils/data/perturb_data_dir_speed_3way.sh", data, wanted).returncode == 0
    names = ["s1-a", "s1-b", *(f"sp{factor}-s1-{name}" for factor in ("0.9", "1.1") for name in "ab")]
    table = {name: (wanted / name).read_text().splitlines() for name in ("wav.scp", "text", "utt2spk", "spk2gender")}
    assert [line.split()[0] for line in table["wav.scp"]] == names
    assert "sp0.9-s1-b TWO" in table["text"] and "sp1.1-s1-a sp1.1-s1" in table["utt2spk"]
    assert table["spk2gender"] == ["s1 f", "sp0.9-s1 f", "sp1.1-s1 f"]
    lengths = [soundfile.info(line.split()[1]).frames for line in table["wav.scp"]]
    assert lengths == [16000, 16000, 17778, 17778, 14546, 14546]


def test_many_recordings_lie_in_one_archive(data: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["change_speed.py", "1.1", str(data), str(tmp_path / "files")])
    speed_program.main()
    wanted = capsys.readouterr().out
    monkeypatch.setattr(speed_program, "MANY_FILES", 1)
    monkeypatch.setattr(sys, "argv", ["change_speed.py", "1.1", str(data), str(tmp_path / "wav")])
    speed_program.main()
    found = capsys.readouterr().out
    assert [path.name for path in (tmp_path / "wav").iterdir()] == ["wav.ark"]
    for line, other in zip(found.splitlines(), wanted.splitlines(), strict=True):
        assert line.split()[0] == other.split()[0]
        np.testing.assert_array_equal(*(read_audio(one.split()[1]) for one in (line, other)))


def test_segments_become_recordings(data: Path, tmp_path: Path) -> None:
    (data / "segments").write_text("s1-a s1-a 0 0.5\ns1-b s1-a 0.5 -1\n")
    assert run("utils/data/perturb_data_dir_speed.sh", "0.5", data, tmp_path / "slow").returncode == 0
    assert not (tmp_path / "slow/segments").exists()
    recordings = [line.split()[1] for line in (tmp_path / "slow/wav.scp").read_text().splitlines()]
    assert [soundfile.info(path).frames for path in recordings] == [16000, 16000]


@pytest.mark.slow
def test_three_ways_of_segments(data: Path, tmp_path: Path) -> None:
    (data / "segments").write_text("s1-a s1-a 0 0.5\ns1-b s1-a 0.5 -1\n")
    wanted = tmp_path / "three"
    assert run("utils/data/perturb_data_dir_speed_3way.sh", data, wanted).returncode == 0
    segments = (wanted / "segments").read_text().splitlines()
    assert segments[0] == "s1-a s1-a 0 0.5" and "sp1.1-s1-b sp1.1-s1-b 0 -1" in segments and len(segments) == 6


def test_bad_input_is_one_line(data: Path, tmp_path: Path) -> None:
    script = "utils/data/perturb_data_dir_speed.sh"
    assert_fails_in_one_line(run(script, "9", data, tmp_path / "x"), "9 is not between 0.5 and 2")
    assert_fails_in_one_line(run(script, "0.9", data, data), "source and destination are both")
    (data / "s1-b.wav").write_bytes(b"")
    assert_fails_in_one_line(run(script, "0.9", data, tmp_path / "x"), "s1-b: recording is empty")
    assert not (tmp_path / "x/wav.scp").exists()


@pytest.mark.slow
def test_conditions_share_lattices(data: Path, tmp_path: Path) -> None:
    """All recordings of an utterance take the lattice of the clean one, from all jobs of the alignment."""
    lattices = tmp_path / "lats"
    lattices.mkdir()
    for name in ("final.mdl", "tree", "phones.txt"):
        (lattices / name).write_text("")
    (lattices / "num_jobs").write_text("2\n")
    ark = "ark:echo s1-{}; echo '0 1 5 1.5,2,3_4'; echo '1 0,0,'; echo |"
    for job, name in enumerate("ab", 1):
        write = f'. ./path.sh; lattice-copy "{ark.format(name)}" "ark:|gzip -c > {lattices}/lat.{job}.gz"'
        assert run("bash", "-c", write).returncode == 0
    (data / "feats.scp").write_text("s1-a a.ark:1\ns1-b a.ark:2\n")
    alignments = tmp_path / "ali"
    shutil.copytree(lattices, alignments)
    (alignments / "num_jobs").write_text("1\n")
    write = f'. ./path.sh; echo s1-a 1 2 | copy-int-vector ark,t:- "ark:|gzip -c > {alignments}/ali.1.gz"'
    assert run("bash", "-c", write).returncode == 0
    out = tmp_path / "both_lats"
    pairs = [alignments, tmp_path / "both", tmp_path / "both_ali", lattices, out]
    assert run("local/combine_conditions.sh", data, f"{data},{data}", *pairs).returncode == 0
    read = run("bash", "-c", f'. ./path.sh; lattice-copy "ark:gunzip -c {out}/lat.1.gz |" ark,t:-')
    ids = [line for line in read.stdout.splitlines() if "-s1-" in line]
    expected = [f"{name}-s1-{utterance}" for name in ("clean", "other", "other2") for utterance in "ab"]
    assert [one.strip() for one in ids] == expected
    assert [line.split()[0] for line in (tmp_path / "both/feats.scp").read_text().splitlines()] == expected


SETS = ("train_sp", "train_sp_noisy", "train_sp_enhanced")
SAY = '#!/usr/bin/env bash\necho "${0##*/} $*" >> calls\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A copy of the recipe after stage 9, of one speaker a set, whose steps only say how they were called."""
    link_recipe(tmp_path)
    for folder, programs in {
        "local": "enhance_data_dir.sh combine_conditions.sh",
        "steps": """align_fmllr.sh align_fmllr_lats.sh make_mfcc.sh compute_cmvn_stats.sh make_fmllr_feats.sh
            nnet3/chain/gen_topo.py nnet3/chain/build_tree.sh nnet/train_ligru.sh nnet/train_ligru_chain.sh
            make_encoder_feats.sh""",
    }.items():
        (tmp_path / folder).unlink()
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for program in programs.split():
            (tmp_path / folder / program).write_text(SAY)
    with (tmp_path / "local/enhance_data_dir.sh").open("a") as enhance:
        enhance.write('cp -r "${@: -2}"\n')
    for name in ("train", "dev", "test"):
        plain = write_data_dir(tmp_path / "data" / name, {f"{name}-a": "ONE", f"{name}-b": "TWO"}, name)
        for condition in ("noisy", "enhanced"):
            shutil.copytree(plain, f"{plain}_{condition}")
    contents = {
        "data/local/noise/train.list": f"{tmp_path}/data/dev/dev-a.wav\n",
        "data/lang/phones/silence.csl": "1\n",
        "data/lang/phones/nonsilence.csl": "2\n",
        "exp/tri3b/num_jobs": "1\n",
    }
    write_files(tmp_path, contents)
    return tmp_path


def calls_of_run_sh(recipe: Path, *options: str) -> list[str]:
    """How the steps were called."""
    done = run("env", "-C", recipe, "-u", "KALDI_ROOT", "./run.sh", *options)
    assert done.returncode == 0, done.stderr
    return (recipe / "calls").read_text().splitlines()


@pytest.mark.slow
def test_networks_are_trained_at_three_speeds(recipe: Path) -> None:
    """Whose features, alignments and lattices are of the speech at three speeds, in all conditions."""
    options = "--stage 10 --stop-stage 11 --nj 1 --speed-perturb true --chain-model small_chain".split()
    calls = calls_of_run_sh(recipe, *options)
    ids = [f"{speed}train-{name}" for speed in ("sp0.9-", "sp1.1-", "") for name in "ab"]
    for name in SETS:
        assert [line.split()[0] for line in (recipe / "data" / name / "wav.scp").read_text().splitlines()] == ids
    transforms = "--transform-dir exp/tri3b_ali_{0} data-fmllr/{0} data/{0} exp/tri3b exp/make_fmllr data-fmllr/ark"
    expected = [
        *(f"make_mfcc.sh data/{name} exp/make_mfcc" for name in SETS),
        *(f"align_fmllr.sh data/{name} data/lang exp/tri3b exp/tri3b_ali_{name}" for name in SETS),
        *(f"make_fmllr_feats.sh {transforms.format(name)}" for name in SETS),
        "align_fmllr_lats.sh data/train_sp data/lang exp/tri3b exp/tri3b_lats_train_sp",
        "combine_conditions.sh exp/tri3b_lats_train_sp exp/tri3b_lats_train_sp_clean_noisy",
        *(
            f"train_ligru.sh data-fmllr/train_sp_{both} data-fmllr/dev_{both}"
            f" exp/tri3b_ali_train_sp_{both} exp/tri3b_ali_dev_{both} exp/{network}"
            for network, both in (("ligru", "clean_noisy"), ("ligru_segan", "clean_enhanced"))
        ),
        "build_tree.sh data/train_sp data/lang_chain exp/tri3b_ali_train_sp exp/ligru_chain_tree",
        "train_ligru_chain.sh data-fmllr/train_sp_clean_noisy data-fmllr/dev_clean_noisy exp/ligru_chain_tree"
        " exp/tri3b_lats_train_sp_clean_noisy exp/tri3b_lats_dev_clean_noisy exp/ligru_chain",
    ]
    for program, arguments in (line.split(" ", 1) for line in expected):
        assert [call for call in calls if call.startswith(f"{program} ") and call.endswith(f" {arguments}")], program


def test_the_networks_that_are_asked_for_are_trained(recipe: Path) -> None:
    options = "--stage 11 --stop-stage 11 --nj 1 --ligru-networks ligru_segan".split()
    calls = calls_of_run_sh(recipe, *options)
    assert [call.split()[-1] for call in calls if call.startswith("train_ligru")] == ["exp/ligru_segan"]


@pytest.mark.slow
def test_a_network_on_an_encoder_alone_needs_no_fmllr_features(recipe: Path) -> None:
    """Clean speech is aligned, at its own speed, and its alignment serves the encoder's features of noisy speech."""
    pytest.importorskip("ctranslate2")
    encoder = str(tiny_encoder(recipe / "tiny"))
    options = "--stage 10 --stop-stage 11 --nj 1 --speed-perturb true --ligru-networks ligru_encoder --encoder".split()
    calls = calls_of_run_sh(recipe, *options, encoder)
    aligned = [call.split()[-1] for call in calls if call.startswith("align_fmllr")]
    assert aligned == ["exp/tri3b_ali_train", "exp/tri3b_ali_dev"]
    assert not [call for call in calls if "data-fmllr" in call or "train_sp" in call]
    encoded = [call.split()[-2] for call in calls if call.startswith("make_encoder_feats.sh")]
    tested = [f"{name}{condition}" for name in ("dev", "test") for condition in ("", "_noisy", "_enhanced")]
    assert encoded == [f"data-encoder/{name}" for name in ("train", "train_noisy", *tested)]
    joined = [call.split()[1:] for call in calls if call.startswith("combine_conditions.sh")]
    assert joined == [
        f"data-encoder/{name} data-encoder/{name}_noisy exp/tri3b_ali_{name}"
        f" data-encoder/{name}_clean_noisy exp/tri3b_ali_{name}_clean_noisy".split()
        for name in ("train", "dev")
    ]
    training = (
        "data-encoder/train_clean_noisy data-encoder/dev_clean_noisy"
        " exp/tri3b_ali_train_clean_noisy exp/tri3b_ali_dev_clean_noisy exp/ligru_encoder"
    )
    assert [call for call in calls if call.startswith("train_ligru.sh") and call.endswith(f" {training}")]


@pytest.mark.slow
def test_alignments_are_joined_once(recipe: Path) -> None:
    """Those of clean and noisy speech serve fMLLR features and an encoder's."""
    pytest.importorskip("ctranslate2")
    encoder = str(tiny_encoder(recipe / "tiny"))
    calls = calls_of_run_sh(recipe, *"--stage 10 --stop-stage 10 --nj 1 --encoder".split(), encoder)
    joined = [call.split()[1:] for call in calls if call.startswith("combine_conditions.sh")]
    sets = [f"{name}_clean_{condition}" for condition in ("noisy", "enhanced") for name in ("train", "dev")]
    assert [call[-1] for call in joined if len(call) == 5] == [f"exp/tri3b_ali_{name}" for name in sets]
    assert [call[-1] for call in joined if len(call) == 3] == [f"data-encoder/{name}" for name in sets[:2]]
