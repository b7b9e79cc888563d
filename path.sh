# shellcheck shell=bash
# The recipe's environment. Sourced by run.sh and by every step, from the recipe's directory.
#
# KALDI_ROOT set: the programs of that compiled Kaldi. Not set: the embedded ones in kaldi/bin.

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ -x "$recipe/.venv/bin/python3" ]; then
  case :$PATH: in *":$recipe/.venv/bin:"*) ;; *) PATH=$recipe/.venv/bin:$PATH ;; esac
fi

if [ -n "${KALDI_ROOT:-}" ]; then
  if [ ! -x "$KALDI_ROOT/src/featbin/compute-mfcc-feats" ]; then
    echo "path.sh: KALDI_ROOT=$KALDI_ROOT holds no compiled Kaldi (no src/featbin/compute-mfcc-feats):" \
      "compile it, or unset KALDI_ROOT to use the embedded programs" >&2
    exit 1
  fi
  kaldi_path=$(printf '%s:' "$KALDI_ROOT"/src/{bin,featbin,fstbin,gmmbin,latbin,lmbin} "$KALDI_ROOT/tools/openfst/bin")
  kaldi_path=${kaldi_path%:}
else
  kaldi_path=$recipe/kaldi/bin
fi
case :$PATH: in *":$kaldi_path:"*) ;; *) PATH=$recipe/utils:$kaldi_path:$PATH ;; esac

export PATH
case :${PYTHONPATH:-}: in *":$recipe:"*) ;; *) PYTHONPATH=$recipe${PYTHONPATH:+:$PYTHONPATH} ;; esac
export PYTHONPATH
unset PYTHONDONTWRITEBYTECODE # programs start by the thousand, their modules are to be compiled once
export LC_ALL=C            # Kaldi's tables are sorted bytewise
export PYTHONHASHSEED=0    # one seed makes a run repeatable
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}
