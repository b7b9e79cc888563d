# Sourced by the scripts that train networks: their options, and what is the same whatever they are trained for.
# shellcheck shell=bash disable=SC2034,SC2154 # options are variables of the script
#
# They use these variables of the script: cmd train_data dev_data dir targets.

# shellcheck source=steps/common_features.sh
. steps/common_features.sh
# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh

cmd=run.pl
stage=0
use_gpu=auto
nnet_config=conf/ligru.toml
epochs=
num_processes=1
num_nodes=1
training_help="  --cmd CMD             how to run jobs (run.pl)
  --use-gpu X           auto, true or false (auto)
  --nnet-config FILE    configurations of networks (conf/ligru.toml)
  --epochs N            instead of the configuration's
  --num-processes N     processes of a distributed training on each machine, with a GPU or OMP_NUM_THREADS threads each (1)
  --num-nodes N         machines of it, where CMD has so many (1)"
several_data_help="<train-data> and <dev-data> may be several data directories with a comma between: their features are pasted together."

# start_training: checks the data directories, makes <exp-dir>, and sees to it that one training works there.
start_training() {
  local data
  for data in ${train_data//,/ } ${dev_data//,/ }; do require_files "$data"/{feats.scp,utt2spk}; done
  mkdir -p "$targets" "$dir/log"
  exec {lock}>>"$targets/.lock" # open, and so locked, in what runs from here on
  if ! flock --nonblock "$lock"; then
    echo "$0: another training works in $dir: wait for its end, or take another directory" >&2
    exit 1
  fi
}

# train_network <alignments> <option> ...: nnet.ligru.train with these options. It goes on from a checkpoint, unless the
# training was finished or the alignments are newer.
train_network() {
  local alignments=$1 checkpoint launcher=(python3) job_opts=(--num-threads $((num_processes * ${OMP_NUM_THREADS:-1})))
  shift
  for checkpoint in "$dir"/{last,good}.pt; do
    if [ -f "$checkpoint" ] && { [ -f "$dir/final.pt" ] || [ "$alignments" -nt "$checkpoint" ]; }; then
      echo "$0: training anew: the checkpoints in $dir are of a finished training or of older alignments"
      rm -rf "$dir"/{last,previous,good,best,final}.pt "$dir/tensorboard"
    fi
  done
  if [ "$num_nodes" -gt 1 ]; then
    # The runner gives these variables to each machine's job.
    # shellcheck disable=SC2016
    launcher+=(-m nnet.ligru.launch --nnodes "$num_nodes" --nproc-per-node "$num_processes" --node-rank '$NODE_RANK'
      --master-addr '$MASTER_ADDR' --master-port '$MASTER_PORT')
    job_opts+=(--num-nodes "$num_nodes")
  elif [ "$num_processes" -gt 1 ]; then
    launcher+=(-m nnet.ligru.launch --standalone --nproc-per-node "$num_processes")
  fi
  # With auto the job uses the GPUs that it finds; a process needs one of its own.
  if [ "$use_gpu" = true ] || { [ "$use_gpu" = auto ] && [[ $cmd == *" --gpu "[1-9]* ]]; }; then
    job_opts+=(--gpu "$num_processes")
  fi
  $cmd "${job_opts[@]}" "$dir/log/train.log" \
    "${launcher[@]}" -m nnet.ligru.train --config "$nnet_config" --model "$model" --use-gpu "$use_gpu" \
    ${epochs:+--epochs "$epochs"} "$@"
}
