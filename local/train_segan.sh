#!/usr/bin/env bash
# Trains a SEGAN on clean recordings and noise, or on pairs of clean and noisy recordings; a run that was killed goes on
# where it stopped.
set -euo pipefail

stage=                  # default: 1 where the records of these data are there, else 0
stop_stage=1
cmd=utils/run.pl
conf=conf/segan.toml    # configurations ...
model=spectral          # ... and the one to train
noise=                  # mixed with the clean recordings anew for every example: a folder, or a list of recordings ...
rooms=                  # ... and impulse responses of rooms, likewise
epochs=                 # default: as the configuration says
d_pretrain_epochs=
batch_size=
direction=              # enhance or add-noise
g_learning_rate=
d_learning_rate=
seed=
nj=1
recordings_per_job=2000
shards=1
compress=false
cut=false               # pairs of different length
keep=3                  # checkpoints
dev_utts=20             # validate on so many utterances
use_gpu=auto
threads=0               # of the CPU; 0: all

help_message="Usage: local/train_segan.sh --noise <list> [options] <clean-data> [<dev-clean> <dev-noisy>] <exp-dir>
   or: local/train_segan.sh [options] <clean-data> <noisy-data> [<dev-clean> <dev-noisy>] <exp-dir>
 e.g.: local/train_segan.sh --noise data/local/noise/train.list data/train data/dev data/dev_noisy exp/segan
Data are Kaldi data directories, or folders with audio files; the clean and the noisy recording of a pair share their
utterance-id or name.
Stages: 0 records anew, and with them a training from the start; 1 training, which goes on where it stopped.
Options:
  --noise <list or folder>          # noise recordings, mixed with the clean ones anew for every example of the training
  --rooms <list or folder>          # impulse responses, which half of the examples are heard through
  --model <name>                    # a table of --conf: spectral, small, plus, published, ... (default $model)
  --conf <file>                     # configurations (default $conf)
  --epochs <n> --batch-size <n> --seed <n> --d-pretrain-epochs <n> --direction enhance|add-noise
  --g-learning-rate <x> --d-learning-rate <x>
                                    # instead of what the configuration says
  --nj <n>                          # at most so many jobs make the records (default $nj) ...
  --recordings-per-job <n>          # ... and one for every so many recordings (default $recordings_per_job)
  --shards <n> --compress true      # files of records, at least one a job, gzipped
  --cut true                        # cut pairs of different length to the shorter one
  --keep <n>                        # checkpoints to keep (default $keep)
  --dev-utts <n>                    # utterances to validate on after each epoch (default $dev_utts)
  --use-gpu auto|true|false         # (default $use_gpu)
  --threads <n>                     # CPU threads (default: all cores)
  --stage <n>                       # (default: 1 where the records of these data are there, else 0)
  --stop-stage <n> --cmd <run.pl|queue.pl ...>"

# shellcheck disable=SC1091
. ./path.sh
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh

fail() { echo "$0: $1" >&2; exit 1; }

if [ $# -lt 2 ]; then usage_error; fi
# Clean recordings, and noisy ones unless noise is mixed with the clean ones; then those to validate on; then the directory.
sources=("${1%/}")
if [ -z "$noise" ]; then sources+=("${2%/}"); fi
if [ $# -ne $((${#sources[@]} + 1)) ] && [ $# -ne $((${#sources[@]} + 3)) ]; then usage_error; fi
dir=${!#}
dev=()
if [ $# -eq $((${#sources[@]} + 3)) ]; then
  dev=(--dev-clean "${*: -3:1}" --dev-noisy "${*: -2:1}" --dev-utts "$dev_utts")
fi
for folder in "${sources[@]}"; do
  [ -d "$folder" ] || fail "$folder: no such directory"
done
for list in ${noise:+"$noise"} ${rooms:+"$rooms"}; do
  [ -e "$list" ] || fail "$list: no such file or directory"
done
[ -z "$rooms" ] || [ -n "$noise" ] || fail "--rooms goes with --noise: what is mixed already cannot be heard in another room"
mkdir -p "$dir/log"
python3 -m nnet.lock "$dir" # before a log of the training that works there is overwritten

if [ -n "$noise" ]; then
  cfg=$(printf '[train]\nclean = "%s"\nnoise = "%s"' "${sources[0]}" "$noise")
  if [ -n "$rooms" ]; then cfg+=$(printf '\nrooms = "%s"' "$rooms"); fi
else
  cfg=$(printf '[train]\nclean = "%s"\nnoisy = "%s"' "${sources[@]}")
fi
anew=true
if [ "$stage" != 0 ] && compgen -G "$dir/checkpoints/ckpt-*.index" >/dev/null; then
  anew=false # and if the records are made again, the training sees whether they are the same
fi
if [ -n "${stage#0}" ] || [ "$anew" = false ]; then
  if [ -f "$dir/records.cfg" ] && [ "$cfg" != "$(cat "$dir/records.cfg")" ]; then
    fail "$dir is of other data (see $dir/records.cfg): --stage 0 begins anew with these, or train into another directory"
  fi
fi
if [ -z "$stage" ]; then
  stage=0
  if [ "$cfg" = "$(cat "$dir/records.cfg" 2>/dev/null)" ] && compgen -G "$dir/train*.tfrecords" >/dev/null; then
    stage=1
    for source in "${sources[@]/%//wav.scp}" ${noise:+"$noise"} ${rooms:+"$rooms"}; do
      [ "$dir/records.cfg" -nt "$source" ] || stage=0
    done
  fi
fi

if [ "$stage" -le 0 ] && [ "$stop_stage" -ge 0 ]; then
  echo "$cfg" >"$dir/records.cfg.tmp"
  options=()
  if [ "$compress" = true ]; then options+=(--compress); fi
  if [ "$cut" = true ]; then options+=(--cut); fi
  jobs=$(jobs_of "${sources[0]}" "$nj" "$recordings_per_job")
  make_records=(python3 -m nnet.segan.make_tfrecords --force-gen --cfg "$dir/records.cfg.tmp" --save_path "$dir"
    --out_file train.tfrecords --conf "$conf" --model "$model" ${options[@]+"${options[@]}"})
  if [ "$jobs" -eq 1 ]; then
    $cmd "$dir/log/make_tfrecords.log" "${make_records[@]}" --shards "$shards"
  else
    "${make_records[@]}" --shards $((shards > jobs ? shards : jobs)) --nj "$jobs" --cmd "$cmd"
  fi
  if [ "$anew" = true ]; then
    rm -rf "$dir/records.cfg" "$dir/checkpoints" "$dir/tensorboard" "$dir"/generator.* "$dir"/classifier.* "$dir"/*.tsv
  fi
  mv "$dir/records.cfg.tmp" "$dir/records.cfg"
fi

if [ "$stage" -le 1 ] && [ "$stop_stage" -ge 1 ]; then
  options=(--conf "$conf" --model "$model" --keep "$keep" --use-gpu "$use_gpu" --threads "$threads")
  [ -z "$epochs" ] || options+=(--epochs "$epochs")
  [ -z "$d_pretrain_epochs" ] || options+=(--d-pretrain-epochs "$d_pretrain_epochs")
  [ -z "$batch_size" ] || options+=(--batch-size "$batch_size")
  [ -z "$direction" ] || options+=(--direction "$direction")
  [ -z "$g_learning_rate" ] || options+=(--g-learning-rate "$g_learning_rate")
  [ -z "$d_learning_rate" ] || options+=(--d-learning-rate "$d_learning_rate")
  [ -z "$seed" ] || options+=(--seed "$seed")
  $cmd --num-threads $((threads > 1 ? threads : 1)) "$dir/log/train.log" \
    python3 -m nnet.segan.train "${options[@]}" ${dev[@]+"${dev[@]}"} --records "$dir/train.tfrecords" --out "$dir"
fi
