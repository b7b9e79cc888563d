"""egs/{speechocean762,kaldi,cmu_kids,cslu_kids,myst}: what they make of small trees, right and wrong ones."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile
from data_dirs import ROOT, assert_fails_in_one_line, run, speech_like, write_data_dir

AGES = {"train": {"0001": 6, "0002": 8, "0003": 30, "0004": 10}, "test": {"0101": 7, "0102": 40}}


@pytest.fixture
def speechocean(tmp_path: Path) -> Path:
    """The distribution's layout with two utterances of each speaker."""
    corpus = tmp_path / "speechocean762"
    for name, ages in AGES.items():
        (corpus / name).mkdir(parents=True)
        tables: dict[str, list[str]] = {table: [] for table in ("text", "utt2spk", "wav.scp", "spk2age", "spk2gender")}
        for speaker, age in ages.items():
            wave = Path("WAVE") / f"SPEAKER{speaker}"
            (corpus / wave).mkdir(parents=True)
            tables["spk2age"].append(f"{speaker}\t{age}")
            tables["spk2gender"].append(f"{speaker}\tf")
            for utterance in (f"0{speaker}0001", f"0{speaker}0002"):
                soundfile.write(corpus / wave / f"{utterance}.WAV", speech_like(0.3), 16000, format="WAV")
                tables["text"].append(f"{utterance}\tI SEE A BEAR")
                tables["utt2spk"].append(f"{utterance}\t{speaker}")
                tables["wav.scp"].append(f"{utterance}\t{wave}/{utterance}.WAV")
        for table, lines in tables.items():
            (corpus / name / table).write_text("".join(f"{line}\n" for line in lines))
    (corpus / "resource").mkdir()
    (corpus / "resource/lexicon.txt").write_text("A\tAH0\nA\tEY0\nI\tAY1\nSEE\tS IY1\n")
    return corpus


def prepare_speechocean(corpus: Path, data: Path):
    return run("egs/speechocean762/prepare.sh", "--corpus-dir", corpus, "--so762-dev-speakers", "1", data)


@pytest.mark.slow
def test_speechocean_sets(speechocean: Path, tmp_path: Path) -> None:
    done = prepare_speechocean(speechocean, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    speakers = {
        name: [line.split()[0] for line in (tmp_path / "data" / name / "spk2utt").read_text().splitlines()]
        for name in ("train", "dev", "test")
    }
    assert speakers == {"train": ["0002", "0003", "0004"], "dev": ["0001"], "test": ["0101"]}
    assert (tmp_path / "data/train/spk2age").read_text() == "0002 8\n0003 30\n0004 10\n"
    assert (tmp_path / "data/dev/text").read_text().startswith("0001-000010001 I SEE A BEAR\n")
    lexicon = (tmp_path / "data/local/dict/lexicon.txt").read_text().splitlines()
    assert lexicon == ["!SIL SIL", "<UNK> SPN", "A AH", "A EY", "I AY", "SEE S IY"]
    assert "2 of 8 words are outside the lexicon and count as <UNK>: BEAR\n" in done.stderr


def test_many_words_outside_the_lexicon(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("u1 A " + " ".join(f"W{i}" for i in range(12)) + "\n")
    (tmp_path / "lexicon.txt").write_text("A AH\n")
    done = run("local/count_oov.sh", tmp_path, tmp_path / "lexicon.txt")
    assert "12 of 13 words" in done.stderr and done.stderr.endswith(" W9 ... (12 different ones)\n")


def test_not_speechocean(tmp_path: Path) -> None:
    assert_fails_in_one_line(prepare_speechocean(tmp_path, tmp_path / "data"), str(tmp_path), "is not speechocean762")


@pytest.mark.slow
def test_speechocean_with_bad_recordings(speechocean: Path, tmp_path: Path) -> None:
    recording = speechocean / "WAVE/SPEAKER0004/000040002.WAV"
    recording.write_bytes(recording.read_bytes()[:200])
    assert_fails_in_one_line(prepare_speechocean(speechocean, tmp_path / "data"), "0004-000040002", "truncated")
    recording.unlink()
    assert_fails_in_one_line(prepare_speechocean(speechocean, tmp_path / "data"), "0004-000040002", recording.name)


@pytest.mark.parametrize("table", ["text", "wav.scp"])
def test_speechocean_with_missing_lines(speechocean: Path, tmp_path: Path, table: str) -> None:
    path = speechocean / "train" / table
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert_fails_in_one_line(prepare_speechocean(speechocean, tmp_path / "data"), "000010001", "wav.scp")


def test_speechocean_as_cmu_and_cslu_kids(speechocean: Path, tmp_path: Path) -> None:
    table = speechocean / "train/text"
    table.write_text(table.read_text().replace("000040002\tI SEE A BEAR", "000040002\tA BEAR"))
    done = run("bench/kids_corpora.py", speechocean, tmp_path / "kids")
    assert done.returncode == 0, done.stderr
    cmu, cslu = tmp_path / "kids/cmu_kids", tmp_path / "kids/cslu"
    assert (cmu / "tables/sentence.tbl").read_text() == "0aa\t12\ti see a bear\n0ab\t6\ta bear\n"
    recordings = sorted(path.name for path in cmu.glob("kids/*/signal/*.sph"))
    assert recordings == ["faaa0aa1.sph", "faab0aa1.sph", "faab0ab1.sph"]  # a sentence once of each child
    assert (cslu / "docs/all.map").read_text() == '00 "i see a bear"\n'
    recordings = sorted(str(path.relative_to(cslu)) for path in cslu.glob("speech/scripted/*/*/*/*.wav"))
    assert recordings == ["speech/scripted/02/0/ks001/ks001000.wav", "speech/scripted/03/0/ks000/ks000000.wav"]
    sphere = cmu / "kids/faab/signal/faab0ab1.sph"
    command = [ROOT / "bench/sph2pipe.pl", *"-f wav -p -c 1".split(), sphere]
    wave = subprocess.run(command, capture_output=True, check=True)
    samples, rate = soundfile.read(io.BytesIO(wave.stdout), dtype="int16")
    original, _ = soundfile.read(speechocean / "WAVE/SPEAKER0004/000040002.WAV", dtype="int16")
    assert rate == 16000 and (samples == original).all()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's own corpus."""
    for number, name in enumerate(("train", "dev", "test")):
        speaker = f"s{number}"
        write_data_dir(tmp_path / "own" / name, {f"{speaker}-a": "ONE TWO", f"{speaker}-b": "TWO THREE"}, speaker)
    (tmp_path / "own/dict").mkdir()
    (tmp_path / "own/dict/lexicon.txt").write_text("ONE W AH N\nTWO T UW\n")
    return tmp_path / "own"


def prepare_own(corpus: Path, data: Path, *options: str):
    return run("egs/kaldi/prepare.sh", "--corpus-dir", corpus, "--kaldi-lexicon", "none", *options, data)


def test_own_corpus(own: Path, tmp_path: Path) -> None:
    (own / "train/spk2warp").write_text("s0 0.9\n")
    (own / "train/utt2uniq").write_text("s0-a a\ns0-b b\n")
    done = prepare_own(own, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    for name in ("train", "dev", "test"):
        of_train = ("spk2warp", "utt2uniq") if name == "train" else ()
        for table in ("text", "utt2spk", "spk2utt", "wav.scp", *of_train):
            assert (tmp_path / "data" / name / table).read_text() == (own / name / table).read_text()
    assert "<UNK> SPN" in (tmp_path / "data/local/dict/lexicon.txt").read_text()


@pytest.mark.slow
def test_own_corpus_with_segments(own: Path, tmp_path: Path) -> None:
    train = own / "train"
    (train / "wav.scp").write_text(f"rec {train}/s0-a.wav\n")
    (train / "segments").write_text("s0-a rec 0 0.5\ns0-b rec 7 8\n")
    assert_fails_in_one_line(prepare_own(own, tmp_path / "data"), "s0-b", "outside")
    assert prepare_own(own, tmp_path / "data", "--kaldi-skip-bad", "true").returncode == 0
    assert (tmp_path / "data/train/wav.scp").read_text() == f"s0-a {tmp_path}/data/local/wav/train/s0-a.wav\n"
    assert not (tmp_path / "data/train/segments").exists()


@pytest.mark.slow
def test_own_corpus_with_a_segment_past_the_end(own: Path, tmp_path: Path) -> None:
    train = own / "train"
    (train / "wav.scp").write_text(f"rec {train}/s0-a.wav\n")
    (train / "segments").write_text("s0-a rec 0 1e-1\ns0-b rec 0.2 1.8\n")
    assert_fails_in_one_line(prepare_own(own, tmp_path / "data"), "s0-b", "outside", "s0-a.wav")
    done = prepare_own(own, tmp_path / "data", "--kaldi-skip-bad", "true")
    assert done.returncode == 0 and "skipped s0-b: segment from 0.2" in done.stderr
    assert (tmp_path / "data/train/spk2utt").read_text() == "s0 s0-a\n"


@pytest.mark.parametrize(("lexicon", "message"), [
    ("ONE W AH N\r\n", "line 1: a carriage return"), ("ONE SIL\n", "no phones but those of silence"),
])  # fmt: skip
def test_lexicon_that_makes_no_dictionary(tmp_path: Path, lexicon: str, message: str) -> None:
    (tmp_path / "lexicon.txt").write_text(lexicon, newline="")
    assert_fails_in_one_line(run("local/prepare_dict.sh", tmp_path / "lexicon.txt", tmp_path / "dict"), message)
    assert not (tmp_path / "dict").exists()


def test_own_corpus_needs_a_folder(own: Path, tmp_path: Path) -> None:
    assert_fails_in_one_line(run("egs/kaldi/prepare.sh", tmp_path / "data"), "--corpus-dir")
    shutil.rmtree(own / "dev")
    assert_fails_in_one_line(prepare_own(own, tmp_path / "data"), "dev/wav.scp")


@pytest.mark.parametrize("fault", ["duplicate", "unsorted", "no transcript", "no recording"])
def test_own_corpus_with_bad_tables(own: Path, tmp_path: Path, fault: str) -> None:
    table = own / "dev" / ("wav.scp" if fault in ("duplicate", "no recording") else "text")
    first, second = table.read_text().splitlines(keepends=True)
    table.write_text({"duplicate": first + second + second, "unsorted": second + first}.get(fault, first))
    done = prepare_own(own, tmp_path / "data")
    assert_fails_in_one_line(done, str(own / "dev"))
    assert "s1-" in done.stderr
    assert not (tmp_path / "data/dev").exists()


@pytest.mark.slow
def test_own_corpus_can_skip_bad_recordings(own: Path, tmp_path: Path) -> None:
    (own / "train/s0-b.wav").write_text("no audio")
    assert_fails_in_one_line(prepare_own(own, tmp_path / "data"), "s0-b")
    assert prepare_own(own, tmp_path / "data", "--kaldi-skip-bad", "true").returncode == 0
    assert (tmp_path / "data/train/spk2utt").read_text() == "s0 s0-a\n"


CMUDICT = """;;; a comment
a AH0
a(2) EY1
dog D AO1 G
don't D OW1 N T
the DH AH0 # a remark
zebra Z IY1 B R AH0
"""


@pytest.fixture
def cmudict(tmp_path: Path) -> Path:
    (tmp_path / "cmudict").write_text(CMUDICT)
    return tmp_path / "cmudict"


@pytest.fixture
def cmu_kids(tmp_path: Path) -> Path:
    """Five speakers with two utterances each, as LDC97S63 lays them out."""
    corpus = tmp_path / "cmu_kids"
    (corpus / "tables").mkdir(parents=True)
    lines = []
    for speaker in ("fabm", "facs", "fafm", "mbmt", "mcel"):
        (corpus / "kids" / speaker / "signal").mkdir(parents=True)
        for name, words in ((f"{speaker}1aa1", "The dog don't"), (f"{speaker}2bb2", "[noise] a do- /D AO K/ the")):
            recording = corpus / "kids" / speaker / "signal" / f"{name}.sph"
            soundfile.write(recording, speech_like(0.3), 16000, format="NIST", subtype="PCM_16")
            lines.append(f"{name} {words}\n")
    (corpus / "tables/transcrp.tbl").write_text("".join(lines))
    return corpus


@pytest.mark.slow
def test_cmu_kids(cmu_kids: Path, cmudict: Path, tmp_path: Path) -> None:
    options = ("--cmu-kids-dev-speakers", "1", "--cmu-kids-test-speakers", "1", "--cmu-kids-lexicon", cmudict)
    data = tmp_path / "data"
    done = run("egs/cmu_kids/prepare.sh", "--corpus-dir", cmu_kids, *options, data)
    assert done.returncode == 0, done.stderr
    sets = [{line.split()[0] for line in (data / name / "spk2utt").read_text().splitlines()}
            for name in ("train", "dev", "test")]  # fmt: skip
    assert [len(speakers) for speakers in sets] == [3, 1, 1]
    assert len(set.union(*sets)) == 5
    text = (data / "train/text").read_text().splitlines()
    assert text[0].endswith("1aa1 THE DOG DON'T")
    assert text[1].endswith("2bb2 A <UNK> <UNK> THE")
    lexicon = (data / "local/dict/lexicon.txt").read_text().splitlines()
    assert lexicon == ["!SIL SIL", "<UNK> SPN", "A AH", "A EY", "DOG D AO G", "DON'T D OW N T", "THE DH AH"]
    wav = (data / "train/wav.scp").read_text().split()[1]
    assert soundfile.info(wav).format == "WAV"


def test_cmu_kids_needs_its_folder_and_a_lexicon(cmu_kids: Path, tmp_path: Path) -> None:
    program = "egs/cmu_kids/prepare.sh"
    assert_fails_in_one_line(run(program, tmp_path / "data"), "--corpus-dir")
    assert_fails_in_one_line(run(program, "--corpus-dir", cmu_kids / "kids", tmp_path / "data"), "is not CMU Kids")
    lexicon = ("--cmu-kids-lexicon", tmp_path / "nosuch")
    assert_fails_in_one_line(run(program, "--corpus-dir", cmu_kids, *lexicon, tmp_path / "data"), "no lexicon")


@pytest.mark.slow
def test_cslu_kids(cmudict: Path, tmp_path: Path) -> None:
    corpus, data = tmp_path / "cslu_kids", tmp_path / "data"
    for speaker in ("ks001", "ks101", "ks201"):
        folder = corpus / "speech/scripted" / f"0{speaker[2]}" / "0" / speaker
        folder.mkdir(parents=True)
        for prompt in ("000", "0a0", "0b0", "0c0", "8v0"):
            soundfile.write(folder / f"{speaker}{prompt}.wav", speech_like(0.3), 16000)
    (corpus / "docs").mkdir()
    (corpus / "docs/all.map").write_text('00 "The dog"\n0A "1 a"\n0B "a dog"\n0C "the, \'dog\'"\n')
    (corpus / "docs/0-verified.txt").write_text("../0/0/ks001/ks0010b0.wav 3\n../0/0/ks001/ks0010c0.wav 4\n")
    options = ("--cslu-kids-dev-speakers", "1", "--cslu-kids-test-speakers", "1", "--cslu-kids-lexicon", cmudict)
    done = run("egs/cslu_kids/prepare.sh", "--corpus-dir", corpus, *options, data)
    assert done.returncode == 0, done.stderr
    sets = {name: (data / name / "spk2utt").read_text().split()[0] for name in ("train", "dev", "test")}
    assert sets == {"train": "ks201", "dev": "ks101", "test": "ks001"}
    test = (data / "test/text").read_text().splitlines()
    assert test == ["ks001000 THE DOG", "ks0010a0 ONE A", "ks0010c0 THE DOG"]  # without what is marked as bad
    assert "3 recordings without a prompt in docs/all.map are left out" in done.stderr


def test_not_cslu_kids(tmp_path: Path) -> None:
    done = run("egs/cslu_kids/prepare.sh", "--corpus-dir", tmp_path, tmp_path / "data")
    assert_fails_in_one_line(done, str(tmp_path), "is not CSLU Kids")


@pytest.mark.slow
def test_myst(cmudict: Path, tmp_path: Path) -> None:
    transcripts = {"a": "the <BREATH> dog (*) a-", "b": "(don\u2019t) the dog.", "c": "<SILENCE>", "d": None}
    for name, student in (("train", "002001"), ("development", "002002"), ("test", "002003")):
        session = tmp_path / "myst" / "data" / name / student / f"myst_{student}_2009-01-01_00-00-00_EE_1.1"
        session.mkdir(parents=True)
        for part, words in transcripts.items():
            recording = session / f"{session.name}_{part}.flac"
            soundfile.write(recording, speech_like(0.3), 16000)
            if words:
                recording.with_suffix(".trn").write_text(f"{words}\n", encoding="utf-8")
    data = tmp_path / "data"
    done = run("egs/myst/prepare.sh", "--corpus-dir", tmp_path / "myst", "--myst-lexicon", cmudict, data)
    assert done.returncode == 0, done.stderr
    words = [line.split(maxsplit=1)[1] for line in (data / "dev/text").read_text().splitlines()]
    assert words == ["THE DOG <UNK> <UNK>", "DON'T THE DOG"]
    assert (data / "test/spk2utt").read_text().startswith("002003 002003-myst_002003_")


def test_not_myst(tmp_path: Path) -> None:
    done = run("egs/myst/prepare.sh", "--corpus-dir", tmp_path, tmp_path / "data")
    assert_fails_in_one_line(done, str(tmp_path), "is not MyST")
