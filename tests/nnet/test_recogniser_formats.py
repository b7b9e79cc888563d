"""What stands in the files of a transcription."""

from __future__ import annotations

import json

from nnet.recogniser.formats import FORMATS
from nnet.recogniser.result import Alternative, Phone, Piece, Transcription, Word

WORDS = (Word("IT'S", 0.1, 0.35, 0.987654), Word("A", 0.35, 0.4, 1.0), Word('"D&G"', 3661.5, 3662.25, 0.5))
PHONES = (Phone("IH", 0.1, 0.2), Phone("T", 0.2, 0.3), Phone("S", 0.3, 0.35), Phone("AH", 0.35, 0.4))
FOUND = Transcription(
    3662.34567,
    (
        Piece(0.0, 20.0, WORDS[:2], PHONES, (Alternative(("IT'S", "A"), 0.75), Alternative(("IT'S",), 0.2))),
        Piece(20.0, 3662.34567, WORDS[2:]),
    ),
)
NOTHING = Transcription(1.0, (Piece(0.0, 1.0),))


def test_text() -> None:
    assert FORMATS["txt"]("a", FOUND) == 'a IT\'S A "D&G"\n'
    assert FORMATS["txt"]("a", NOTHING) == "a\n"


def test_ctm() -> None:
    assert FORMATS["ctm"]("a", FOUND).splitlines() == [
        "a 1 0.10 0.25 IT'S 0.99",
        "a 1 0.35 0.05 A 1.00",
        'a 1 3661.50 0.75 "D&G" 0.50',
    ]
    assert FORMATS["ctm"]("a", NOTHING) == ""


def test_json() -> None:
    line = FORMATS["json"]("ä", FOUND)
    assert line.count("\n") == 1 and "ä" in line
    content = json.loads(line)
    assert (content["name"], content["duration"], content["text"]) == ("ä", 3662.346, 'IT\'S A "D&G"')
    assert content["words"][0] == {"word": "IT'S", "start": 0.1, "end": 0.35, "confidence": 0.9877}
    assert content["phones"][1] == {"phone": "T", "start": 0.2, "end": 0.3}
    assert [piece["alternatives"] for piece in content["pieces"]] == [
        [{"text": "IT'S A", "posterior": 0.75}, {"text": "IT'S", "posterior": 0.2}],
        [],
    ]


def test_subtitles_end_at_pauses() -> None:
    assert FORMATS["srt"]("a", FOUND) == (
        '1\n00:00:00,100 --> 00:00:00,400\nIT\'S A\n\n2\n01:01:01,500 --> 01:01:02,250\n"D&G"\n'
    )
    assert FORMATS["vtt"]("a", FOUND) == (
        'WEBVTT\n\n00:00:00.100 --> 00:00:00.400\nIT\'S A\n\n01:01:01.500 --> 01:01:02.250\n"D&amp;G"\n'
    )
    assert FORMATS["srt"]("a", NOTHING) == "" and FORMATS["vtt"]("a", NOTHING) == "WEBVTT\n"


def test_subtitles_that_can_be_read() -> None:
    words = tuple(Word("WORD" * 3, 0.3 * place, 0.3 * place + 0.3, 1.0) for place in range(60))
    lines = FORMATS["srt"]("a", Transcription(20.0, (Piece(0.0, 20.0, words),))).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.count("WORDWORD") for line in lines) == 60


def test_textgrid() -> None:
    lines = [line.strip() for line in FORMATS["TextGrid"]("a", FOUND).splitlines()]
    assert lines[:6] == [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        "xmax = 3662.3457",
    ] + ["tiers? <exists>"]
    tiers = " ".join(lines).split("item [")[2:]
    assert ['name = "words"' in tiers[0], 'name = "phones"' in tiers[1]] == [True, True]
    for tier, labels in zip(tiers, (["", "IT'S", "A", "", '""D&G""', ""], ["", "IH", "T", "S", "AH", ""]), strict=True):
        assert f"intervals: size = {len(labels)} " in tier
        parts = [part.split() for part in tier.split("intervals [")[1:]]
        bounds = [(float(part[3]), float(part[6])) for part in parts]
        assert (bounds[0][0], bounds[-1][1]) == (0, 3662.3457)  # without gaps, as Praat wants
        assert [end for _, end in bounds[:-1]] == [start for start, _ in bounds[1:]]
        assert [part[9] for part in parts] == [f'"{label}"' for label in labels]
