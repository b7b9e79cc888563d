#!/usr/bin/env perl
# Runs a command, or an array of jobs JOB=1:N, on Slurm; same interface and logs as run.pl. As Kaldi's slurm.pl.
# conf/slurm.conf (or --config FILE) translates --mem, --num-threads, --gpu, --num-nodes, --time into flags of sbatch.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use QueuedArray qw(run_queued answer_of);

# --export=ALL, sbatch's own default, instead of Kaldi's --export=PATH, for which Slurm starts a login shell for each task to
# learn the user's environment: one or two seconds.
my %slurm = (
  config_file => 'conf/slurm.conf',
  default_config => <<'END_OF_CONFIG',
command sbatch --export=ALL --ntasks-per-node=1
option mem=* --mem $0
option mem=0
option num_threads=* --cpus-per-task $0
option num_threads=1
option num_nodes=* --nodes $0
option num_nodes=1
option time=* --time $0
default gpu=0
option gpu=0
option gpu=* --partition gpu --gres=gpu:$0
END_OF_CONFIG
  task_variable => 'SLURM_ARRAY_TASK_ID',
  flags => sub {
    my ($name, $first, $last, $limit, $output) = @_;
    my $range = "$first-$last" . (defined $limit ? "%$limit" : '');
    return "--job-name=$name --array=$range --output=" . (defined $output ? "$output.%a" : '/dev/null');
  },
  # srun does not know by itself of the processors that sbatch asked for (since Slurm 22.05). Its exit code is the highest; when
  # one machine's command has failed, it ends the others by SIGTERM, which is not to count.
  on_nodes => sub {
    my ($script, $nodes) = @_;
    return "SRUN_CPUS_PER_TASK=\${SLURM_CPUS_PER_TASK:-1} srun --ntasks=$nodes --ntasks-per-node=1 --kill-on-bad-exit=1 \\\n"
      . "  bash -c 'trap \"exit 1\" TERM; bash \"\$0\" \"\$SLURM_PROCID\" \"\$@\"' $script \"\$host\" \"\$port\"";
  },
  job => sub { return $_[0] =~ m/Submitted batch job (\d+)/ ? $1 : undef },
  unreachable => qr/Unable to contact slurm|Socket timed out|Connection (?:refused|timed out|reset)|temporarily unable|Zero Bytes|Transport endpoint/i,
  states => \&states,
  waiting => sub { return '' },
  end => sub { return '' },
  again => qr/^(?:killed|NODE_FAIL|PREEMPTED|BOOT_FAIL)/,
  find => sub { return "squeue --noheader --name=$_[0] --format=%F" },
  cancel => sub { return "scancel --name=$_[0]" },
  cancel_task => sub { return "scancel $_[0]_$_[1]" },
);
exit run_queued(\%slurm, @ARGV);

# Slurm knows tasks for some minutes after their end.
sub states {
  my ($job) = @_;
  my $answer = answer_of("squeue --noheader --array --states=all --jobs=$job --format='%K %T %r'");
  my %states;
  return ($answer, {}) if $answer =~ m/Invalid job id/;
  for (split(/\n/, $answer)) {
    my ($task, $state, $reason) = m/^(\d+) ([A-Z_]+) (.*?)\s*$/ or return ($answer, undef);
    $reason = '' if $reason eq 'None';
    $states{$task} =
        $state eq 'PENDING' ? [$reason =~ m/launch.failed/i ? 'stuck' : 'waiting', $reason]
      : $state =~ m/^(?:RUNNING|CONFIGURING|COMPLETING|SUSPENDED|STOPPED|REQUEUE\w*|RESIZING|SIGNALING|STAGE_OUT)$/ ? ['running', '']
      : ['ended', why_ended($state, $reason)];
  }
  return ($answer, \%states);
}

sub why_ended {
  my ($state, $reason) = @_;
  my %meaning = (
    COMPLETED => '',
    FAILED => 'killed',
    OUT_OF_MEMORY => 'out of memory (OUT_OF_MEMORY)',
    TIMEOUT => 'time limit (TIMEOUT)',
    NODE_FAIL => 'NODE_FAIL, its machine failed',
    CANCELLED => 'cancelled (CANCELLED)',
  );
  return join(', ', grep { $_ ne '' } $meaning{$state} // $state, $reason);
}
