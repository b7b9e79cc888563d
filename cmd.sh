# shellcheck shell=bash disable=SC2034
# How jobs are run. Sourced by run.sh. What the environment sets goes before what is written here (docs/cluster.md).
#
# On this machine:
train_cmd=${train_cmd-run.pl}
decode_cmd=${decode_cmd-run.pl}
cuda_cmd=${cuda_cmd-run.pl --gpu 1}
# On GridEngine (flags of your site: conf/queue.conf):
#   train_cmd="queue.pl --mem 2G"
#   decode_cmd="queue.pl --mem 4G"
#   cuda_cmd="queue.pl --gpu 1 --mem 8G"     # without GPUs: "queue.pl --mem 8G", and run.sh --train-threads 4
# On Slurm (conf/slurm.conf):
#   train_cmd="slurm.pl --mem 2G"
#   decode_cmd="slurm.pl --mem 4G"
#   cuda_cmd="slurm.pl --gpu 1 --mem 8G"     # without GPUs: "slurm.pl --mem 8G", and run.sh --train-threads 4
