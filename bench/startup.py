#!/usr/bin/env python3
"""What the embedded Kaldi programs cost to start, in seconds of processor time.

Prints a line for each program: of `--help`, which starts it, and of its quickest use among the golden cases
(tests/kaldi/golden) and the commands below, which also loads what the work needs and does a little of it, pipes
that it reads included. The least of several runs counts; those above 0.2 s are marked. Needs GNU time as /usr/bin/time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/kaldi")]

from embedded import BIN, unpack_golden  # noqa: E402

from kaldi.programs import MODULE_OF  # noqa: E402

AIM = 0.2
SHIM = '#!/bin/bash\nPATH=$PROGRAMS exec /usr/bin/time -q -a -o "$TIMES" -f "${0##*/} %U %S" "$BIN/${0##*/}" "$@"\n'
# Of the programs without a golden case, on the same files.
COMMANDS = """
am-info $IN/tri2b/final.mdl
arpa-to-const-arpa --bos-symbol=19 --eos-symbol=20 --unk-symbol=2 lm.trigram.int.arpa /dev/null
copy-post ark:$IN/ali-to-post/post.ark ark:/dev/null
post-to-weights ark:$IN/ali-to-post/post.ark ark:- | copy-vector ark:- ark:/dev/null
echo 25 > $OUT/in; echo 26 > $OUT/out; fstaddselfloops $OUT/in $OUT/out $IN/fstpushspecial/LG.fst /dev/null
fstprint lang/L.fst | fstcompile > $OUT/L.fst
fstarcsort --sort_type=olabel lang/L.fst $OUT/L.fst; fstcompose $OUT/L.fst $IN/arpa2fst/G.fst $OUT/LG.fst
fstconnect $IN/fstpushspecial/LG.fst /dev/null
fstcopy scp:$OUT/fsts.scp ark:/dev/null
fstproject $IN/arpa2fst/G.fst | fstrmepsilon | fstdeterminize | fstminimize | fsttopsort | fstinfo
fstinvert lang/L.fst /dev/null
fstrandgen --seed=1 lang/L.fst /dev/null
echo 1 2 > $OUT/pairs; fstrelabel --relabel_ipairs=$OUT/pairs lang/L.fst /dev/null
fstreplace lang/L.fst 9999 $IN/arpa2fst/G.fst 9998 /dev/null
gmm-copy $IN/tri2b/final.mdl /dev/null
lattice-copy ark:$IN/gmm-latgen-faster/lat.ark ark:/dev/null
modify-cmvn-stats 0 ark:$IN/compute-cmvn-stats/cmvn.ark ark:/dev/null
lattice-to-nbest ark:$IN/gmm-latgen-faster/lat.ark ark:- | nbest-to-lattice ark:- ark:/dev/null
paste-feats ark:$IN/compute-mfcc-feats/mfcc.ark ark:$IN/compute-mfcc-feats/mfcc.ark ark:/dev/null
select-feats 0-3 ark:$IN/compute-mfcc-feats/mfcc.ark ark:/dev/null
subset-feats --n=2 ark:$IN/compute-mfcc-feats/mfcc.ark ark:/dev/null
wav-copy scp:data/wav.scp ark:/dev/null
wav=$(awk '{ print $2; exit }' data/wav.scp); wav-reverberate --impulse-response="$wav" "$wav" $OUT/echo.wav
"""


def least(command: str, folder: Path, shims: Path, times: int, found: dict[str, float]) -> None:
    """Run a shell command some times, and put the least processor time of each program in it, and what it starts,
    into `found`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    log = folder / "times"
    variables = {"LC_ALL": "C", "BIN": str(BIN), "TIMES": str(log), "IN": "out", "OUT": "new"}
    paths = {"PATH": f"{shims}:{path}", "PROGRAMS": f"{BIN}:{path}"}
    log.write_text("")
    for _ in range(times):
        shell = ["bash", "-eo", "pipefail", "-c", command]
        subprocess.run(shell, cwd=folder, env=os.environ | variables | paths, capture_output=True, check=True)
    for line in log.read_text().splitlines():
        program, user, system = line.split()
        found[program] = min(found.get(program, float("inf")), float(user) + float(system))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5, help="runs of each (5)")
    options = parser.parse_args()
    starts: dict[str, float] = {}
    uses: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder, shims = Path(temporary), Path(temporary) / "shims"
        unpack_golden(folder)
        (folder / "new").mkdir()
        (folder / "new/fsts.scp").write_text("a lang/L.fst\n")
        shims.mkdir()
        for program in MODULE_OF:
            (shims / program).write_text(SHIM)
            (shims / program).chmod(0o755)
            least(f"{program} --help", folder, shims, options.times, starts)
        commands = [file.read_text() for file in sorted(folder.glob("out/*/cmd"))] + COMMANDS.strip().splitlines()
        for command in commands:
            least(command, folder, shims, options.times, uses)
    print(f"{'program':34}  --help  in use")
    for program in sorted(MODULE_OF):
        use = f"{uses[program]:8.2f}" if program in uses else "       -"
        print(f"{program:34}{starts[program]:8.2f}{use}{'  *' if uses.get(program, 0) > AIM else ''}")


if __name__ == "__main__":
    main()
