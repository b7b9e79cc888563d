#!/usr/bin/env perl
# Runs a command, or an array of jobs JOB=1:N, on Slurm; same interface and logs as run.pl. As Kaldi's slurm.pl.
# conf/slurm.conf (or --config FILE) translates --mem, --num-threads, --gpu, --time into flags of sbatch.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use QueuedArray qw(run_queued);

my %slurm = (
  config_file => 'conf/slurm.conf',
  default_config => <<'END_OF_CONFIG',
command sbatch --export=PATH --ntasks-per-node=1
option mem=* --mem $0
option mem=0
option num_threads=* --cpus-per-task $0
option num_threads=1
option max_jobs_run=*
option time=* --time $0
default gpu=0
option gpu=0
option gpu=* --partition gpu --gres=gpu:$0
END_OF_CONFIG
  task_variable => 'SLURM_ARRAY_TASK_ID',
  array_flags => sub {
    my ($array) = @_;
    my $limit = $array->{options}{max_jobs_run};
    return "--array=$array->{first}-$array->{last}" . (defined $limit ? "%$limit" : '');
  },
  output_flag => '--output',
  cancel => 'scancel',
  is_alive => sub { my ($id) = @_; return `squeue --noheader --jobs $id 2>/dev/null` =~ m/\S/ },
);
exit run_queued(\%slurm, @ARGV);
