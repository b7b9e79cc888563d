"""Find an encoder: a folder, or a name of Whisper's family, which is downloaded once.

python3 -m nnet.encoder.models MODEL prints the folder.
"""

from __future__ import annotations

import argparse
import os
import sys
import urllib.error
from pathlib import Path

from local.download import download
from nnet.encoder.identity import VOCABULARIES, WEIGHTS

NAMES = "tiny.en tiny base.en base small.en small medium.en medium large-v1 large-v2 large-v3".split()
FOLDER = Path("exp/encoders")  # what was downloaded
HUB = "https://huggingface.co"  # or what HF_ENDPOINT says, as everywhere where models come from there
REPOSITORY = "Systran/faster-whisper-{name}/resolve/main"


def find_encoder(model: str) -> Path:
    """The folder of an encoder in CTranslate2's format. Raises ValueError, OSError."""
    folder = Path(model)
    if not folder.is_dir():
        if model not in NAMES:
            raise ValueError(f"{model}: neither a folder nor one of {', '.join(NAMES)}")
        folder = FOLDER / model
        if not (folder / WEIGHTS).exists():  # the last that is downloaded
            _download(model, folder)
    if not (folder / WEIGHTS).is_file():
        raise ValueError(
            f"{folder}: no encoder in CTranslate2's format, there is no {WEIGHTS}"
            + (f"; join its halves: cat {WEIGHTS}.part* > {WEIGHTS}" if list(folder.glob(f"{WEIGHTS}.*")) else "")
        )
    return folder


def _download(name: str, folder: Path) -> None:
    source = f"{os.environ.get('HF_ENDPOINT', HUB)}/{REPOSITORY.format(name=name)}"
    try:
        download(f"{source}/config.json", folder / "config.json", 0)
        try:
            download(f"{source}/{VOCABULARIES[0]}", folder / VOCABULARIES[0], 0)
        except urllib.error.HTTPError:
            download(f"{source}/{VOCABULARIES[1]}", folder / VOCABULARIES[1], 0)
        download(f"{source}/{WEIGHTS}", folder / WEIGHTS, 0)
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ValueError(
            f"the encoder {name} cannot be downloaded from {source} ({reason}): start again to go on, or give a folder "
            "that holds it"
        ) from None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m nnet.encoder.models", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help=f"a folder, or one of {', '.join(NAMES)}")
    try:
        print(find_encoder(parser.parse_args().model))
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
