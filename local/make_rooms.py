#!/usr/bin/env python3
"""Simulate classrooms: impulse responses from a child's mouth to a microphone, for --rir-dir of run.sh.

Writes <room-dir>/room<n>.wav, 16 kHz mono, and <room-dir>/rooms.tsv with the size of each room, the child's distance
from the microphone and the reverberation time. The responses are those of boxes by the image method (Allen, Berkley,
"Image method for efficiently simulating small-room acoustics", 1979), of the package pyroomacoustics
(requirements-rooms.txt). The same seed gives the same rooms. A finished folder is left as it is.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.audio import RATE, write_audio
from local.whole_file import write_file

log = logging.getLogger("make_rooms.py")

# Metres. Children sit or stand, microphones lie on tables.
LENGTH, WIDTH, HEIGHT = (6.0, 11.0), (5.0, 8.0), (2.6, 3.6)
MOUTH_HEIGHT, MICROPHONE_HEIGHT = (0.9, 1.5), (0.6, 1.2)
DISTANCE = (0.3, 4.0)  # on the floor, between child and microphone
FROM_THE_WALLS = 0.5
# Seconds, by Sabine's formula. The image method gives half as much again in rooms that are lower than they are long,
# where sound that goes to and fro between the walls seldom meets floor and ceiling.
SABINE_TIME = (0.25, 0.7)


def draw_positions(size: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where the child's mouth and the microphone are, [3] each, in metres."""
    low, high = np.full(2, FROM_THE_WALLS), size[:2] - FROM_THE_WALLS
    while True:
        microphone = rng.uniform(low, high)
        angle = rng.uniform(0, 2 * np.pi)
        mouth = microphone + rng.uniform(*DISTANCE) * np.array([np.cos(angle), np.sin(angle)])
        if np.all((mouth >= low) & (mouth <= high)):
            heights = rng.uniform(*MOUTH_HEIGHT), rng.uniform(*MICROPHONE_HEIGHT)
            return np.append(mouth, heights[0]), np.append(microphone, heights[1])


def make_room(folder: Path, seed: int, number: int) -> str:
    """Write the impulse response of one room; its line of rooms.tsv."""
    import pyroomacoustics
    from pyroomacoustics.experimental.rt60 import measure_rt60

    rng = np.random.default_rng([seed, number])
    size = np.array([rng.uniform(*LENGTH), rng.uniform(*WIDTH), rng.uniform(*HEIGHT)])
    mouth, microphone = draw_positions(size, rng)
    absorption, order = pyroomacoustics.inverse_sabine(rng.uniform(*SABINE_TIME), size)
    box = pyroomacoustics.ShoeBox(size, fs=RATE, materials=pyroomacoustics.Material(absorption), max_order=order)
    box.add_source(mouth)
    box.add_microphone(microphone)
    box.compute_rir()
    response = box.rir[0][0]
    write_audio(folder / f"room{number:03d}.wav", response * (0.5 / np.abs(response).max()))
    distance = np.linalg.norm(mouth - microphone)
    time = measure_rt60(response, fs=RATE, decay_db=30)
    sides = "\t".join(f"{side:.1f}" for side in size)
    return f"room{number:03d}\t{sides}\t{distance:.1f}\t{time:.2f}\n"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nj", type=int, default=2, help="processes")
    parser.add_argument("room_dir", type=Path)
    arguments = parser.parse_args()
    if arguments.rooms < 1:
        parser.error("--rooms: at least 1")
    return arguments


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    arguments = parse_arguments()
    folder = arguments.room_dir
    done, current = folder / "done", f"rooms {arguments.rooms} seed {arguments.seed}\n"
    if done.exists():
        if done.read_text() == current:
            return
        raise ValueError(f"{folder} holds other rooms ({done.read_text().strip()}): take another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(arguments.nj) as pool:
        rooms = pool.map(partial(make_room, folder, arguments.seed), range(1, arguments.rooms + 1), chunksize=1)
    write_file(folder / "rooms.tsv", "room\tlength_m\twidth_m\theight_m\tdistance_m\tt60_s\n" + "".join(rooms))
    done.write_text(current)
    log.info("wrote the impulse responses of %d rooms to %s", len(rooms), folder)


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as missing:
        sys.exit(
            f"make_rooms.py: the package {missing.name} is not installed: "
            "local/install_packages.sh requirements.txt requirements-rooms.txt"
        )
    except (OSError, ValueError) as failure:
        sys.exit(f"make_rooms.py: {failure}")
