"""Transcriptions as files: text, CTM, JSON, subtitles (SRT, WebVTT), and TextGrid of Praat (Boersma, Weenink)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence

from nnet.recogniser.result import Phone, Transcription, Word

# A subtitle ends at a pause of so many seconds, or before it would have more seconds or characters.
PAUSE, LONGEST, WIDEST = 0.6, 6.0, 80


def text(name: str, transcription: Transcription) -> str:
    """A line as in Kaldi's text: the recording and its words."""
    return " ".join([name, *(word.text for word in transcription.words)]) + "\n"


def ctm(name: str, transcription: Transcription) -> str:
    """A line a word: recording, channel, start and duration in seconds, word, confidence (NIST)."""
    return "".join(
        f"{name} 1 {word.start:.2f} {word.end - word.start:.2f} {word.text} {word.confidence:.2f}\n"
        for word in transcription.words
    )


def as_json(name: str, transcription: Transcription) -> str:
    """One line: all that there is, times in seconds."""
    content = {
        "name": name,
        "duration": round(transcription.duration, 3),
        "text": transcription.text,
        "words": [_timed("word", word) | {"confidence": round(word.confidence, 4)} for word in transcription.words],
        "phones": [_timed("phone", phone) for phone in transcription.phones],
        "pieces": [
            {
                "start": round(piece.start, 3),
                "end": round(piece.end, 3),
                "alternatives": [
                    {"text": " ".join(other.words), "posterior": round(other.posterior, 4)}
                    for other in piece.alternatives
                ],
            }
            for piece in transcription.pieces
        ],
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def _timed(kind: str, item: Word | Phone) -> dict[str, str | float]:
    return {kind: item.text, "start": round(item.start, 3), "end": round(item.end, 3)}


def srt(name: str, transcription: Transcription) -> str:
    """SubRip subtitles."""
    cues = enumerate(_cues(transcription.words), 1)
    return "\n".join(f"{number}\n{_span(cue, ',')}\n{_words(cue)}\n" for number, cue in cues)


def vtt(name: str, transcription: Transcription) -> str:
    """WebVTT subtitles (W3C)."""
    cues = (f"\n{_span(cue, '.')}\n{_words(cue)}\n" for cue in _cues(transcription.words))
    return "WEBVTT\n" + "".join(cue.replace("&", "&amp;").replace("<", "&lt;") for cue in cues)


def _cues(words: Sequence[Word]) -> Iterator[list[Word]]:
    """The words of each subtitle."""
    cue: list[Word] = []
    for word in words:
        if cue and (
            word.start - cue[-1].end > PAUSE or word.end - cue[0].start > LONGEST or len(_words([*cue, word])) > WIDEST
        ):
            yield cue
            cue = []
        cue.append(word)
    if cue:
        yield cue


def _words(cue: Iterable[Word]) -> str:
    return " ".join(word.text for word in cue)


def _span(cue: Sequence[Word], point: str) -> str:
    return f"{_clock(cue[0].start, point)} --> {_clock(cue[-1].end, point)}"


def _clock(seconds: float, point: str) -> str:
    """00:01:02,345."""
    milliseconds = round(1000 * seconds)
    minutes, milliseconds = divmod(milliseconds, 60000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def textgrid(name: str, transcription: Transcription) -> str:
    """A Praat TextGrid in the long text form with a tier of words and one of phones; between words are empty labels.

    ELAN imports it too.
    """
    end = round(transcription.duration, 4)
    head = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end:.10g}",
        "tiers? <exists>",
        "size = 2",
        "item []:",
    ]
    tiers: dict[str, Sequence[Word] | Sequence[Phone]]
    tiers = {"words": transcription.words, "phones": transcription.phones}
    for number, (title, items) in enumerate(tiers.items(), 1):
        intervals = list(_intervals(items, end))
        head += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f'        name = "{title}"',
            "        xmin = 0",
            f"        xmax = {end:.10g}",
            f"        intervals: size = {len(intervals)}",
        ]
        for place, (start, stop, label) in enumerate(intervals, 1):
            quoted = label.replace('"', '""')
            head += [
                f"        intervals [{place}]:",
                f"            xmin = {start:.10g}",
                f"            xmax = {stop:.10g}",
                f'            text = "{quoted}"',
            ]
    return "\n".join(head) + "\n"


def _intervals(items: Sequence[Word] | Sequence[Phone], duration: float) -> Iterator[tuple[float, float, str]]:
    """(start, end, label) from 0 to the duration without gaps."""
    position = 0.0
    for item in items:
        start, end = max(round(item.start, 4), position), min(round(item.end, 4), duration)
        if end <= start:
            continue
        if start > position:
            yield position, start, ""
        yield start, end, item.text
        position = end
    if position < duration:
        yield position, duration, ""


# By the ending of their files.
FORMATS: dict[str, Callable[[str, Transcription], str]] = {
    "txt": text,
    "ctm": ctm,
    "json": as_json,
    "srt": srt,
    "vtt": vtt,
    "TextGrid": textgrid,
}
LINES = ("txt", "ctm", "json")  # those of several recordings may stand one below the other
