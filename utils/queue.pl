#!/usr/bin/env perl
# Runs a command, or an array of jobs JOB=1:N, on GridEngine; same interface and logs as run.pl. As Kaldi's queue.pl.
# conf/queue.conf (or --config FILE) translates --mem, --num-threads, --gpu, --max-jobs-run into flags of qsub.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use QueuedArray qw(run_queued);

my %grid_engine = (
  config_file => 'conf/queue.conf',
  default_config => <<'END_OF_CONFIG',
command qsub -v PATH -cwd -S /bin/bash -j y
option mem=* -l mem_free=$0,ram_free=$0
option mem=0
option num_threads=* -pe smp $0
option num_threads=1
option max_jobs_run=* -tc $0
option time=* -l h_rt=$0
default gpu=0
option gpu=0
option gpu=* -l gpu=$0 -q g.q
END_OF_CONFIG
  task_variable => 'SGE_TASK_ID',
  array_flags => sub { my ($array) = @_; return "-t $array->{first}:$array->{last}" },
  output_flag => '-o',
  cancel => 'qdel',
  is_alive => sub { my ($id) = @_; return system("qstat -j $id >/dev/null 2>&1") == 0 },
);
exit run_queued(\%grid_engine, @ARGV);
