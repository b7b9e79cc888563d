#!/usr/bin/env bash
# Sums over the features of each speaker for mean and variance normalisation: cmvn.scp. As Kaldi's compute_cmvn_stats.sh.
set -euo pipefail

usage="Usage: $0 [--fake] [--fake-dims N1:N2:...] <data-dir> [<log-dir> [<cmvn-dir>]]
e.g.: $0 data/train
  --fake             statistics that change nothing
  --fake-dims LIST   statistics that change nothing in these dimensions
<log-dir> is <data-dir>/log and <cmvn-dir> is <data-dir>/data if not given."

fake=false
fake_dims=
while [[ ${1:-} == --* ]]; do
  case $1 in
    --fake) fake=true; shift ;;
    --fake-dims)
      if ! [[ ${2:-} =~ ^[0-9]+(:[0-9]+)*$ ]]; then
        echo "$0: option --fake-dims takes dimensions N1:N2:..., not '${2:-}'" >&2
        exit 1
      fi
      fake_dims=$2
      shift 2
      ;;
    --help) echo "$usage"; exit 0 ;;
    *) echo "$0: unknown option $1" >&2; exit 1 ;;
  esac
done
if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=steps/common_features.sh
. steps/common_features.sh
if [ $# -lt 1 ] || [ $# -gt 3 ]; then
  echo "$usage" >&2
  exit 1
fi
data=${1%/}
logdir=${2:-$data/log}
cmvndir=${3:-$data/data}
name=$(basename "$data")
mkdir -p "$logdir" "$cmvndir"
cmvndir=$(cd "$cmvndir" && pwd)
require_files "$data/feats.scp" "$data/spk2utt"

output=ark,scp:$cmvndir/cmvn_$name.ark,$cmvndir/cmvn_$name.scp
log=$logdir/cmvn_$name.log
compute() {
  local dim
  if $fake; then
    dim=$(feat-to-dim "scp:$data/feats.scp" -) || return
    # Sums 0 and squares 1 over a count of 1: mean 0 and variance 1.
    awk -v dim="$dim" '{
      printf "%s [", $1
      for (i = 0; i < dim; i++) printf " 0"
      printf " 1\n"
      for (i = 0; i < dim; i++) printf " 1"
      print " 0 ]"
    }' "$data/spk2utt" | copy-matrix ark:- "$output"
  elif [ -n "$fake_dims" ]; then
    compute-cmvn-stats --spk2utt="ark:$data/spk2utt" "scp:$data/feats.scp" ark:- |
      modify-cmvn-stats "$fake_dims" ark:- "$output"
  else
    compute-cmvn-stats --spk2utt="ark:$data/spk2utt" "scp:$data/feats.scp" "$output"
  fi
}
if ! compute 2>"$log"; then
  echo "$0: failed on $data, log is in $log" >&2
  tail -n 5 "$log" | sed 's/^/  /' >&2
  exit 1
fi

speakers=$(wc -l <"$data/spk2utt")
with_stats=$(wc -l <"$cmvndir/cmvn_$name.scp")
if [ "$with_stats" -ne "$speakers" ]; then
  echo "$0: only $with_stats of $speakers speakers of $data have features; run utils/fix_data_dir.sh $data" >&2
  if [ "$with_stats" -eq 0 ]; then exit 1; fi
fi
cp "$cmvndir/cmvn_$name.scp" "$data/cmvn.scp"
echo "$0: $with_stats speakers of $data have CMVN statistics"
