"""Section of the page on single recordings: to hear and to see, and what was heard in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from local.decodings import Decoding, read_scored
from local.page.elements import escape, picture, player, scrolled
from local.word_alignment import Place, align_heard, read_confidences, with_confidences

CONDITIONS = ["noisy", "enhanced", "clean"]
LEGEND = """<p>What was said, and what every system heard for it: a wavy line is under a wrong word, + before a word too
much, – stands for a word that was not heard. The less sure a system was of a word, the darker it is.</p>"""

Aligned = dict[str, list[tuple[str, list[Place]]]]  # by utterance: name of the decoding, what it heard


def find_examples(folder: Path) -> dict[str, Path]:
    """The pictures that nnet.segan.examples wrote, by utterance; its recordings lie beside them."""
    return {path.stem: path for path in sorted(folder.glob("*.png"))}


def align_all(decodings: Iterable[Decoding], exp: Path, utterances: Iterable[str]) -> Aligned:
    """What each decoding heard in these utterances. Raises OSError, KaldiError."""
    aligned: Aligned = {utterance: [] for utterance in utterances}
    for decoding in decodings:
        directory = exp / decoding.directory
        said, heard = read_scored(directory)
        there = aligned.keys() & said.keys()
        confidences = read_confidences(directory, there) if there else {}
        for utterance in sorted(there):
            words = with_confidences(heard[utterance], confidences.get(utterance))
            name = f"{decoding.system}, {decoding.condition}"
            aligned[utterance].append((name, align_heard(said[utterance], words)))
    return aligned


def recordings_section(examples: dict[str, Path], aligned: Aligned, snrs: dict[str, float]) -> str:
    """By the SNRs in dB, where they are known. Raises OSError."""
    if not examples:
        return ""
    parts = [LEGEND]
    by_ratio = sorted(examples.items(), key=lambda example: snrs.get(example[0], float("inf")))
    for number, (utterance, file) in enumerate(by_ratio):
        ratio = f", SNR {snrs[utterance]:.0f} dB" if utterance in snrs else ""
        parts.append(
            f'<article aria-labelledby="recording-{number}"><h3 id="recording-{number}">{escape(utterance)}{ratio}</h3>'
        )
        players = (
            player(file.with_suffix(f".{condition}.wav"), condition, f"{utterance}, {condition}")
            for condition in CONDITIONS
        )
        parts.append(f'<div class="players">{"".join(players)}</div>')
        parts.append(heard_table(utterance, aligned.get(utterance, [])))
        seen = picture(file, f"Spectrograms of {utterance}: {', '.join(CONDITIONS)}")
        parts.append(f"<details><summary>Spectrograms</summary><figure>{seen}</figure></details></article>")
    return "".join(parts)


def heard_table(utterance: str, rows: list[tuple[str, list[Place]]]) -> str:
    """A column for each word said; a column before them where something was heard too early."""
    if not rows:
        return ""
    early = any(places[0].inserted for _, places in rows)
    said = [place.said for place in rows[0][1]][0 if early else 1 :]
    head = "".join(
        f'<th scope="col">{escape(word)}</th>' if word else '<td><span class="hidden">before</span></td>'
        for word in said
    )
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(map(place_cell, places[0 if early else 1 :]))}</tr>'
        for name, places in rows
    )
    content = f'<thead><tr><th scope="col">said</th>{head}</tr></thead><tbody>{lines}</tbody>'
    return scrolled('class="words"', f"What was heard in {utterance}", content)


def place_cell(place: Place) -> str:
    shown = [f"<ins>{escape(word.word)}</ins>" for word in place.inserted]
    sure = [word.confidence for word in place.inserted]
    if place.heard:
        right = place.heard.word == place.said
        word = escape(place.heard.word)
        shown.insert(0, word if right else f'<span class="wrong">{word}</span><span class="hidden"> (wrong)</span>')
        sure.insert(0, place.heard.confidence)
    elif place.said:
        shown.insert(0, '<del>–</del><span class="hidden"> (not heard)</span>')
    known = [confidence for confidence in sure if confidence is not None]
    style = f' style="--sure: {min(known):.2f}" title="confidence {min(known):.2f}"' if known else ""
    return f"<td{style}>{' '.join(shown)}</td>"
