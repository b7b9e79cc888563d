#!/usr/bin/env python3
"""Turn a grammar in JSGF (JSpeech Grammar Format) into the text form of an acceptor of word numbers, for fstcompile.

What is understood: rules "<name> = …;", of which those marked public say what can be spoken; words one after the other;
alternatives |; groups ( ); what may be missing [ ]; repetitions * and +; other rules <name>, but not a rule in itself;
comments // and /* */. Weights, tags, imports and quotes are not. Words may be in another case than the lexicon's.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.normalise_text import case_of
from local.train_lm import NOT_SPOKEN
from local.whole_file import read_lines, write_file

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
HEADER = re.compile(r"\s*#JSGF[^;]*;")
NAME = re.compile(r"\s*grammar\s+[^;]*;")
RULE = re.compile(r"\s*(public\s+)?<([^<>\s]+)>\s*=([^;]*);")
TOKEN = re.compile(r"<[^<>\s]+>|[()\[\]|*+<>]|[^\s<>()\[\]|*+]+")

Arc = tuple[int, int, str]  # from, to, word (empty: none)


class Grammar:
    """The rules of a grammar file, and the acceptor of its public ones: arcs from state 0 to the state `end`."""

    def __init__(self, text: str) -> None:
        self.rules: dict[str, list[str]] = {}
        public = []
        text = COMMENT.sub(" ", text)
        place = 0
        for pattern in (HEADER, NAME):
            if match := pattern.match(text, place):
                place = match.end()
        while text[place:].strip():
            match = RULE.match(text, place)
            if not match:
                raise ValueError(f"expected '<name> = …;', found {text[place:].strip()[:40]!r}")
            place = match.end()
            is_public, name, expansion = match.groups()
            if name in self.rules:
                raise ValueError(f"the rule <{name}> is there twice")
            self.rules[name] = TOKEN.findall(expansion)
            odd = next((token for token in self.rules[name] if token[0] in '/{"' or "}" in token), None)
            if odd:
                raise ValueError(f"weights, tags and quotes are not understood: {odd!r} in <{name}>")
            if not {"<", ">"}.isdisjoint(self.rules[name]):
                raise ValueError(f"'<' or '>' without a rule's name in <{name}>")
            if is_public:
                public.append(name)
        if not public:
            raise ValueError("no public rule: an empty grammar")
        self.arcs: list[Arc] = []
        self.states = 2
        self.end = 1
        for name in public:
            begin, end = self._rule(name, ())
            self.arcs += [(0, begin, ""), (end, self.end, "")]
        if not any(word for *_, word in self.arcs):
            raise ValueError("no words in it: an empty grammar")

    def _pair(self) -> tuple[int, int]:
        self.states += 2
        return self.states - 2, self.states - 1

    def _rule(self, name: str, within: tuple[str, ...]) -> tuple[int, int]:
        """First and last state of a rule's arcs."""
        if name in within:
            raise ValueError(f"the rule <{name}> is part of itself")
        if name not in self.rules:
            raise ValueError(f"there is no rule <{name}>")
        tokens = list(self.rules[name])
        pair = self._alternatives(tokens, name, (*within, name))
        if tokens:
            raise ValueError(f"a bracket too many in <{name}>: {tokens[0]!r}")
        return pair

    def _alternatives(self, tokens: list[str], name: str, within: tuple[str, ...]) -> tuple[int, int]:
        """Sequences with | between them, up to a closing bracket or the end; what is read is taken off the tokens."""
        first, last = self._pair()
        while True:
            begin, end = self._sequence(tokens, name, within)
            self.arcs += [(first, begin, ""), (end, last, "")]
            if not tokens or tokens[0] != "|":
                return first, last
            tokens.pop(0)

    def _sequence(self, tokens: list[str], name: str, within: tuple[str, ...]) -> tuple[int, int]:
        first, _ = self._pair()
        last, empty = first, True
        while tokens and tokens[0] not in ("|", ")", "]"):
            begin, end = self._item(tokens, name, within)
            while tokens and tokens[0] in ("*", "+"):
                self.arcs.append((end, begin, ""))
                if tokens.pop(0) == "*":
                    self.arcs.append((begin, end, ""))
            self.arcs.append((last, begin, ""))
            last, empty = end, False
        if empty:
            raise ValueError(f"nothing between bars or brackets in <{name}>")
        return first, last

    def _item(self, tokens: list[str], name: str, within: tuple[str, ...]) -> tuple[int, int]:
        """A word, a rule or a group, between two states of its own."""
        token = tokens.pop(0)
        first, last = self._pair()
        if token in ("(", "["):
            begin, end = self._alternatives(tokens, name, within)
            if not tokens or tokens.pop(0) != (")" if token == "(" else "]"):
                raise ValueError(f"{token!r} is not closed in <{name}>")
            if token == "[":
                self.arcs.append((first, last, ""))
        elif token in ("*", "+"):
            raise ValueError(f"{token!r} follows nothing in <{name}>")
        elif token.startswith("<"):
            begin, end = self._rule(token[1:-1], within)
        else:
            self.arcs.append((first, last, token))
            return first, last
        self.arcs += [(first, begin, ""), (end, last, "")]
        return first, last


def acceptor(grammar: Grammar, numbers: dict[str, int]) -> str:
    """The acceptor in OpenFst's text form. Raises ValueError naming the words that have no number."""
    numbers = {word: number for word, number in numbers.items() if word not in NOT_SPOKEN and word[0] != "#"}
    case = case_of(numbers)
    spoken = {word: word if word in numbers else case(word) for *_, word in grammar.arcs if word}
    outside = sorted(word for word in spoken if spoken[word] not in numbers)
    if outside:
        raise ValueError(
            f"{len(outside)} words are outside the lexicon (--words pronounces more): {' '.join(outside[:10])}"
        )
    labels = {word: numbers[spoken[word]] for word in spoken} | {"": 0}
    lines = [f"{begin} {end} {labels[word]} {labels[word]}\n" for begin, end, word in sorted(grammar.arcs)]
    return "".join(lines) + f"{grammar.end}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grammar", type=Path, help="grammar in JSGF")
    parser.add_argument("words", type=Path, help="words.txt of the lang directory")
    parser.add_argument("fst", type=Path, help="the acceptor to write, as text")
    arguments = parser.parse_args()
    numbers = {word: int(number) for word, number in map(str.split, read_lines(arguments.words))}
    try:
        text = acceptor(Grammar("\n".join(read_lines(arguments.grammar))), numbers)
    except ValueError as error:
        raise ValueError(f"{arguments.grammar}: {error}") from None
    write_file(arguments.fst, text)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"compile_grammar.py: {failure}")
