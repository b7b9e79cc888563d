# shellcheck shell=bash
# The recipe's environment. Sourced by run.sh and by every step, from the recipe's directory.
#
# KALDI_ROOT set: the programs of that Kaldi, a compiled source tree or any folder with the programs in its bin/, such as a
# conda environment with conda-forge's package kaldi. Not set: the embedded ones in kaldi/bin.

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ -z "${KALDI_ROOT:-}" ]; then
  kaldi_path=$recipe/kaldi/bin
elif [ -x "$KALDI_ROOT/src/featbin/compute-mfcc-feats" ]; then
  kaldi_path=$(printf '%s:' "$KALDI_ROOT"/src/*bin)$KALDI_ROOT/tools/openfst/bin
elif [ -x "$KALDI_ROOT/bin/compute-mfcc-feats" ]; then
  kaldi_path=$KALDI_ROOT/bin
else
  echo "path.sh: KALDI_ROOT=$KALDI_ROOT holds no compiled Kaldi, neither src/featbin/compute-mfcc-feats (a source tree) nor" \
    "bin/compute-mfcc-feats (a conda environment, an installation): compile or install Kaldi there, or unset KALDI_ROOT to" \
    "use the embedded programs" >&2
  exit 1
fi
# The recipe's Python comes before a conda environment's.
if [ -x "$recipe/.venv/bin/python3" ]; then kaldi_path=$recipe/.venv/bin:$kaldi_path; fi
case :$PATH: in *":$recipe/utils:$kaldi_path:"*) ;; *) PATH=$recipe/utils:$kaldi_path:$PATH ;; esac
if ! command -v fstcompile >/dev/null; then
  echo "path.sh: KALDI_ROOT=${KALDI_ROOT:-} comes without OpenFst: there is no fstcompile in $kaldi_path, or elsewhere on PATH" >&2
  exit 1
fi

export PATH
case :${PYTHONPATH:-}: in *":$recipe:"*) ;; *) PYTHONPATH=$recipe${PYTHONPATH:+:$PYTHONPATH} ;; esac
export PYTHONPATH
unset PYTHONDONTWRITEBYTECODE # programs start by the thousand, their modules are to be compiled once
export LC_ALL=C            # Kaldi's tables are sorted bytewise
export PYTHONHASHSEED=0    # one seed makes a run repeatable
