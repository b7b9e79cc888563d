#!/usr/bin/env perl
# Runs a command, or an array of jobs JOB=1:N, on GridEngine; same interface and logs as run.pl. As Kaldi's queue.pl.
# conf/queue.conf (or --config FILE) translates --mem, --num-threads, --gpu, --max-jobs-run into flags of qsub.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use QueuedArray qw(run_queued answer_of);

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
  flags => sub {
    my ($name, $first, $last, undef, $output) = @_;
    return "-N $name -t $first-$last -o " . (defined $output ? "'$output.\$TASK_ID'" : '/dev/null');
  },
  job => sub { return $_[0] =~ m/Your job\S* (\d+)[. ]/ ? $1 : undef },
  unreachable => qr/qmaster|gdi request|commlib/,
  states => \&states,
  waiting => \&why_waiting,
  end => \&why_ended,
  again => qr/^killed/,
  find => sub { return "qstat -j $_[0]" },
  cancel => sub { return "qdel $_[0]" },
  cancel_task => sub { return "qdel $_[0] -t $_[1]" },
);
exit run_queued(\%grid_engine, @ARGV);

# A line for each task: job, priority, name, user, state, date, time, ..., slots, task.
sub states {
  my ($job) = @_;
  my $user = getpwuid($<);
  my $answer = answer_of("qstat -g d -u $user");
  return ($answer, undef) if $answer ne '' && $answer !~ m/^job-ID/m;
  my %states;
  for (split(/\n/, $answer)) {
    my ($number, undef, undef, undef, $state, @rest) = split;
    next if !@rest || $number ne $job;
    $states{$rest[-1]} = [$state =~ m/E/ ? 'stuck' : $state =~ m/qw/ ? 'waiting' : 'running', ''];
  }
  return ($answer, \%states);
}

sub why_waiting {
  my ($job) = @_;
  my $answer = answer_of("qstat -j $job");
  my @reasons = $answer =~ m/^error reason\s+\d+:\s*(.*)$/mg;
  @reasons = split(/\n/, $1) if !@reasons && $answer =~ m/^scheduling info:\s*(.*)/ms;
  s/^\s+|\s+$//g for @reasons;
  return join('; ', @reasons);
}

# From the accounting, which the queue writes some 15 s later; if it does not know then, it is not waited for again.
my $wait_for_accounting;
sub why_ended {
  my ($job, $task) = @_;
  $wait_for_accounting //= 1;
  my $answer = answer_of("qacct -j $job -t $task");
  if ($answer !~ m/^exit_status/m && $wait_for_accounting) {
    print STDERR "queue.pl: task $task of job $job left the queue without an exit code, waiting for the accounting\n";
    for (1 .. 8) {
      sleep 2;
      $answer = answer_of("qacct -j $job -t $task");
      last if $answer =~ m/^exit_status/m;
    }
    $wait_for_accounting = $answer =~ m/^exit_status/m;
  }
  my ($failed) = $answer =~ m/^failed\s+\d+\s*:\s*(.*?)\s*$/m;
  my ($exit) = $answer =~ m/^exit_status\s+(\d+)/m;
  return '' if !defined $exit;
  return $failed if defined $failed && $failed !~ m/assumedly after job/;
  return $exit > 128 ? 'killed, or deleted' : '';
}
