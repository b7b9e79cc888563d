"""The page of a run: what it says of each system, that it needs nothing else, and in a browser that it works."""

from __future__ import annotations

import gzip
import html
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_dirs import run
from scored_run import write_run
from scripts import write

from local.page.charts import Line, line_chart
from local.page.errors import lines_over
from local.page.phones import phone_matrix
from local.page.recordings import heard_table
from local.word_alignment import Heard, align_heard, read_confidences

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a small run with an example, and histories of training."""
    from matplotlib import image

    folder = write_run(tmp_path_factory.mktemp("run"))
    examples = folder / "exp/segan/examples"
    examples.mkdir(parents=True)
    image.imsave(examples / "s1-a.png", np.zeros((8, 8)))
    for condition in ("noisy", "enhanced", "clean"):
        sound = np.random.default_rng(0).uniform(-0.1, 0.1, 8000)
        soundfile.write(examples / f"s1-a.{condition}.wav", sound, 16000)
    write(folder / "exp/ligru/log.tsv", "epoch\tdev_loss", "1\t2.0", "2\t1.5")
    write(folder / "exp/segan/validation.tsv", "epoch\tSTOI", "1\t0.7", "2\t0.75")
    write(folder / "exp/segan/losses.tsv", "step\tepoch\tg_l1", *(f"{n}\t1\t{1 / n}" for n in range(1, 500)))
    stage = "9\ttri3b\t3725\t./run.sh --nj 2\t345\t678"
    write(folder / "exp/stages.tsv", "stage\tname\tseconds\tcommand\tlargest_mib\ttogether_mib", stage)
    write(folder / "exp/.corpus", "mini")
    data = ("--data", folder / "data")
    done = run("local/wer_statistics.py", *data, folder / "exp/results.tsv", folder / "exp/wer")
    assert done.returncode == 0, done.stderr
    which = "system\ttest_set\tcondition\twords"
    columns = "\twrong\tposterior_error\tconfidence_error\tarea_under_curve\tcalibrated"
    write(folder / "exp/wer/confidences.tsv", which + columns, "tri3b\ttest\tclean\t70\t30\t0.2\t0.05\t0.9\tyes")
    bins = ("tri3b\ttest\tclean\t30\t0.42\t11", "tri3b\ttest\tclean\t40\t0.71\t29")
    write(folder / "exp/wer/reliability.tsv", which + "\tconfidence\tright", *bins)
    done = run("local/report.py", *data, "--examples", examples, folder / "exp/results.tsv", folder / "page")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (folder / "page").iterdir()] == ["index.html"]
    return (folder / "page/index.html").read_text()


def test_the_page_has_all_parts(report: str) -> None:
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", report)
    assert headings == [
        "Word error rates", "By SNR and by age", "More than chance", "Recordings", "Confused words",
        "Confused phones", "Confidences", "Learning curves", "Time and memory", "Configuration",
    ]  # fmt: skip
    assert ">42.86<small>33.33 to 100.00</small></td>" in report
    assert 'class="bar best" style="--width: 0%" data-value="0.0">0.00<' in report
    assert ">1:02:05</td><td>345</td><td>678</td>" in report and "tri1_leaves=300" in report
    assert "<summary>Matrix: ligru, clean</summary>" in report and "<td>0.05</td><td>0.9</td><td>yes</td>" in report
    assert ">right as often as said</text>" in report
    assert "s1-a, SNR -5 dB" in report and report.count('src="data:audio/flac;base64,') == 3


def test_the_page_needs_no_network_and_no_other_file(report: str) -> None:
    sources = re.findall(r'\b(?:src|href|srcset)="([^"]*)"', report) + re.findall(r"url\(([^)]*)\)", report)
    assert sources and all(source.startswith(("data:", "#")) for source in sources)
    assert "@import" not in report


def test_ids_are_unique_and_pictures_are_described(report: str) -> None:
    ids = re.findall(r'\bid="([^"]*)"', report)
    assert len(set(ids)) == len(ids)
    for name in re.findall(r'(?:href="|url\()#([^")]*)', report):
        assert name in ids
    assert all('alt="' in tag for tag in re.findall(r"<img[^>]*>", report))
    charts = re.findall(r"<svg[^>]*>", report)
    assert len(charts) == 6 and all('role="img" aria-label="' in tag for tag in charts)


def test_what_was_heard_is_aligned_and_marked() -> None:
    heard = [Heard("OH", 0.5), Heard("ONE", 1.0), Heard("TREE", 0.25), Heard("THREE", None)]
    places = align_heard(["ONE", "TWO", "THREE", "FOUR"], heard)
    assert [(place.said, place.heard and place.heard.word) for place in places] == [
        ("", None), ("ONE", "ONE"), ("TWO", "TREE"), ("THREE", "THREE"), ("FOUR", None),
    ]  # fmt: skip
    assert places[0].inserted == heard[:1]
    cells = re.findall(r"<td.*?</td>", heard_table("u", [("system", places)]).split("<tbody>")[1])
    assert cells[0] == '<td style="--sure: 0.50" title="confidence 0.50"><ins>OH</ins></td>'
    assert cells[2].startswith('<td style="--sure: 0.25" title="confidence 0.25"><span class="wrong">TREE</span>')
    assert cells[3] == "<td>THREE</td>" and "(not heard)" in cells[4]


def test_confidences_are_posteriors_at_the_weight_of_the_scoring(tmp_path: Path) -> None:
    """Two words that differ by ln 3 in graph costs, once they are scaled down by the weight of 10."""
    write(tmp_path / "scoring_kaldi/wer_details/lmwt", "10")
    write(tmp_path / "scoring_kaldi/wer_details/wip", "0.0")
    with gzip.open(tmp_path / "lat.1.gz", "wt") as lattices:
        lattices.write(f"u\n0\t1\t3\t0,0,1\n0\t1\t4\t0,{10 * np.log(3):.6f},1\n1\t0,0,\n\nother\n0\t0,0,\n\n")
    confidences = read_confidences(tmp_path, {"u"})
    assert confidences == {"u": [pytest.approx(0.75, abs=1e-5)]}


def test_lines_over_snr_join_test_sets_of_one_ratio_each() -> None:
    row = {"system": "ligru", "grouping": "SNR", "low": "1", "high": "3"}
    rows = [row | {"condition": f"noisy_{snr}dB", "group": f"{snr}dB", "WER": str(snr)} for snr in (-5, 0, 5)]
    rows += [row | {"condition": "noisy", "group": "10dB", "WER": "2"}]
    assert lines_over("SNR", rows) == {"noisy, fixed SNR": {"ligru": Line([-5, 0, 5], [-5, 0, 5], [1] * 3, [3] * 3)}}


def test_the_matrix_of_phones_has_shares_of_those_said() -> None:
    pairs = Counter({("T", "T"): 3, ("T", "D"): 1, ("<eps>", "D"): 2, ("IY", "<eps>"): 1})
    rows = re.findall(r"<tr>(.*?)</tr>", phone_matrix("", pairs).split("<tbody>")[1])
    assert rows == [
        '<th scope="row">IY</th><td></td><td></td><td class="taken" style="--shade: 1.00">100</td>',
        '<th scope="row">T</th><td class="taken" style="--shade: 0.50">25</td>'
        '<td class="right" style="--shade: 0.87">75</td><td></td>',
    ]


def test_charts_take_the_colours_of_the_page() -> None:
    chart = line_chart("name", 'of "a"', {"panel": {"a": Line([0, 1], [1, 2]), "b": Line([0, 1], [2, 1])}}, "x", "y")
    assert "stroke: var(--series-1)" in chart and "currentColor" in chart and "#fe" not in chart
    assert 'aria-label="of &quot;a&quot;"' in chart and ">panel</text>" in chart


IN_BROWSER = """<script>
const results = {};
window.onerror = message => { results.error = message };
(async () => {
  const column = () => [...document.querySelectorAll("#kinds tbody tr")].map(row => row.cells[4].textContent).join();
  const button = document.querySelectorAll("#kinds thead button")[4];
  button.click(); results.up = column() + button.parentElement.ariaSort;
  button.click(); results.down = column() + button.parentElement.ariaSort;
  const field = document.querySelector("input[aria-controls=confusions]");
  field.value = "three noisy"; field.dispatchEvent(new Event("input"));
  results.found = [...document.querySelectorAll("#confusions tbody tr")].filter(row => !row.hidden).length;
  results.players = 0;
  for (const audio of document.querySelectorAll("audio")) {
    audio.muted = true;
    await audio.play();
    results.players += 1;
  }
  results.wide = document.documentElement.scrollWidth > innerWidth;
})().catch(error => { results.error = String(error) }).finally(() => {
  const out = document.createElement("output");
  out.textContent = JSON.stringify(results); document.body.append(out);
});
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium")
def test_in_a_browser_tables_sort_and_every_player_plays(report: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(report.replace("</body>", IN_BROWSER))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user"]
    command += ["--autoplay-policy=no-user-gesture-required", "--enable-logging=stderr", "--window-size=400,800"]
    command += ["--virtual-time-budget=20000", "--dump-dom", f"file://{tmp_path}/page.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r"<output>(.*?)</output>", done.stdout)
    assert found, done.stderr[-2000:]
    assert json.loads(html.unescape(found[1])) == {
        "up": "0,0,1,4ascending",
        "down": "4,1,0,0descending",
        "found": 3,
        "players": 3,
        "wide": False,
    }
    assert "CONSOLE" not in done.stderr
