#!/usr/bin/env python3
"""Prints the topology of chain models: one emitting state that a phone can cross in a frame, with a pdf for the first
frame and another one for all that follow. As Kaldi's script of this name.

Speech and silence have the same; the network learns all, so the transition probabilities are of no importance.
"""

from __future__ import annotations

import argparse
import re

STATES = """<State> 0 <ForwardPdfClass> 0 <SelfLoopPdfClass> 1 <Transition> 0 0.5 <Transition> 1 0.5 </State>
<State> 1 </State>"""


def phone_list(text: str) -> list[str]:
    """The phones of 4:5:6."""
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of phone numbers with colons between them, as 4:5:6")
    return text.split(":")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nonsilence_phones", type=phone_list, help="phones/nonsilence.csl of the lang directory")
    parser.add_argument("silence_phones", type=phone_list, help="phones/silence.csl")
    args = parser.parse_args()
    phones = [*args.silence_phones, *args.nonsilence_phones]
    if len(set(phones)) < len(phones):
        parser.error("a phone is there twice")
    print("\n".join(["<Topology>", "<TopologyEntry>", "<ForPhones>", " ".join(phones), "</ForPhones>"]))
    print("\n".join([STATES, "</TopologyEntry>", "</Topology>"]))


if __name__ == "__main__":
    main()
