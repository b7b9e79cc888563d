"""Other words for a trained system: grammars in JSGF, local/make_graph.sh."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest
from recipe_copy import GOLDEN, ROOT, golden, link_recipe
from scripts import first_fields, write
from test_pronounce import packages  # noqa: F401

from local.compile_grammar import Grammar, acceptor

LEXICON = {"<eps>": 0, "!SIL": 1, "<UNK>": 2, "GO": 3, "TO": 4, "ROOM": 5, "ONE": 6, "TWO": 7, "PLEASE": 8, "#0": 9}

TWICE = {"one one", "one two", "two one", "two two"}


def sentences(text: str, longest: int) -> set[str]:
    """What a grammar lets one say in up to so many words."""
    grammar = Grammar(text)
    assert acceptor(grammar, LEXICON).splitlines()[-1] == str(grammar.end)
    said, known, todo = set(), set(), [(0, ())]
    while todo:
        state, words = todo.pop()
        if (state, words) in known or len(words) > longest:
            continue
        known.add((state, words))
        if state == grammar.end:
            said.add(" ".join(words))
        todo += [(end, (*words, word) if word else words) for begin, end, word in grammar.arcs if begin == state]
    return said


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ("public <a> = go (one | two) [please];", {"go one", "go two", "go one please", "go two please"}),
        ("public <a> = <n> <n>; <n> = one | two;", TWICE),
        ("public <a> = one+;", {"one", "one one", "one one one"}),
        ("public <a> = go (one | two)*; // all\n", {"go", "go one", "go two", *(f"go {numbers}" for numbers in TWICE)}),
        ("/* two */ public <a> = one; public <b> = two;", {"one", "two"}),
    ],
)  # fmt: skip
def test_what_a_grammar_lets_one_say(rules: str, wanted: set[str]) -> None:
    assert sentences(f"#JSGF V1.0;\ngrammar rooms;\n{rules}", 3 if "+" in rules or "*" in rules else 9) == wanted


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("", "empty grammar"),
        ("<a> = one;", "no public rule"),
        ("public <a> = ;", "nothing between bars"),
        ("public <a> = one | ;", "nothing between bars"),
        ("public <a> = <a> one;", "part of itself"),
        ("public <a> = <b>;", "no rule <b>"),
        ("public <a> = (one;", "'\\(' is not closed in <a>"),
        ("public <a> = one);", "a bracket too many in <a>"),
        ("public <a> = /3/ one;", "weights, tags and quotes"),
        ("public <a> = one", "expected '<name> = …;'"),
        ("public <a> = [];", "nothing between bars"),
        ("public <a> = go to paris | rome;", "2 words are outside the lexicon .*: paris rome"),
    ],
)
def test_grammars_that_cannot_be_used(rules: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        acceptor(Grammar(f"#JSGF V1.0;\ngrammar rooms;\n{rules}"), LEXICON)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The monophone system that real Kaldi trained for tests/kaldi, with its dictionary and a few transcripts."""
    copy = tmp_path_factory.mktemp("graphs")
    link_recipe(copy)
    mono = copy / "exp/mono"
    mono.mkdir(parents=True)
    for name in ("final.mdl", "tree"):
        (mono / name).write_bytes(golden(f"out/mono/{name}"))
    shutil.copy(GOLDEN / "lang/phones.txt", mono)
    (copy / "data/local").mkdir(parents=True)
    (copy / "data/lang").symlink_to(GOLDEN / "lang")
    shutil.copytree(ROOT / "tests/recipe/golden/dict", copy / "data/local/dict")
    for name in ("train", "dev", "test"):
        write(copy / "data" / name / "text", "u1 ONE TWO THREE", "u2 TWO FOUR")
    return copy


def make_graph(recipe: Path, *options: str) -> subprocess.CompletedProcess:
    command = ["env", "-u", "KALDI_ROOT", "local/make_graph.sh", *options]
    return subprocess.run(command, cwd=recipe, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_grammar_in_place_of_the_language_model(recipe: Path) -> None:
    write(recipe / "count.jsgf", "#JSGF V1.0;", "public <count> = one (two | three)+;")
    done = make_graph(recipe, "--grammar", "count.jsgf", "exp/mono", "exp/mono/graph_count")
    assert done.returncode == 0, done.stderr
    graph = recipe / "exp/mono/graph_count"
    assert (graph / "HCLG.fst").stat().st_size > 1000 and (graph / "num_pdfs").read_text() == "79\n"
    numbers = dict(line.split() for line in (graph / "words.txt").read_text().splitlines())
    printed = subprocess.run(
        ["bash", "-c", ". ./path.sh && fstprint exp/mono/graph_count/lang/G.fst"],
        cwd=recipe,
        capture_output=True,
        text=True,
    ).stdout
    arcs = [line.split() for line in printed.splitlines() if len(line.split()) > 2]
    assert len({arc[0] for arc in arcs}) == 3  # minimal: before ONE, after it, and after more
    assert {arc[2] for arc in arcs} == {numbers[word] for word in ("ONE", "TWO", "THREE")}

    write(recipe / "paris.jsgf", "public <a> = one paris;")
    done = make_graph(recipe, "--grammar", "paris.jsgf", "exp/mono", "exp/mono/graph_paris")
    assert done.returncode == 1 and "paris.jsgf: 1 words are outside the lexicon" in done.stderr
    assert not (recipe / "exp/mono/graph_paris/HCLG.fst").exists()


@pytest.mark.slow
def test_more_words(recipe: Path, packages: Path) -> None:  # noqa: F811
    write(recipe / "names.txt", "A", "ZOE Z OW IY")
    done = make_graph(recipe, "--words", "names.txt", "--lm-order", "2", "exp/mono", "exp/mono/graph_names")
    assert done.returncode == 0, done.stderr
    graph = recipe / "exp/mono/graph_names"
    orders = gzip.decompress((graph / "lm/transcripts.arpa.gz").read_bytes()).decode()
    assert "ngram 2=" in orders and "ngram 3=" not in orders
    lexicon = (graph / "dict/lexicon.txt").read_text().splitlines()
    assert {"A AH", "A EY", "ZOE Z OW IY", "<UNK> SPN"} <= set(lexicon)
    assert {"A", "ZOE", "ONE"} <= set(first_fields(graph / "words.txt")) and (graph / "HCLG.fst").exists()
    phones, trained = ((folder / "phones.txt").read_text() for folder in (graph, recipe / "exp/mono"))
    assert phones.split("#0")[0] == trained.split("#0")[0]

    write(recipe / "names.txt", "42")
    done = make_graph(recipe, "--words", "names.txt", "exp/mono", "exp/mono/graph_names")
    assert done.returncode == 1 and "nothing pronounces these words of names.txt" in done.stderr.splitlines()[-1]
    write(recipe / "names.txt", "DOG")
    done = make_graph(recipe, "--words", "names.txt", "exp/mono", "exp/mono/graph_names")
    assert done.returncode == 1 and "phone 'D' of word 'DOG' is in none of the phone lists" in done.stderr


def test_a_model_of_other_phones(recipe: Path) -> None:
    other = recipe / "exp/other"
    shutil.copytree(recipe / "exp/mono", other, ignore=shutil.ignore_patterns("graph*"))
    write(other / "phones.txt", "<eps> 0", "X 1")
    done = make_graph(recipe, "exp/other", "exp/other/graph")
    assert done.returncode == 1 and "have different phones" in done.stderr and not (other / "graph").exists()
