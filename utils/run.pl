#!/usr/bin/env perl
# Runs a command, or an array of jobs JOB=1:N in parallel, on this machine; every job writes a log. As Kaldi's run.pl.
#
# --max-jobs-run N   at most N at a time (default: as many as there are processors, or with --gpu as have GPUs)
# --num-threads N    threads of a job: fewer jobs run at a time
# --max-retries N    how often a job that a signal ended is begun anew (default 0)
# --gpu N            N > 0: so many GPUs for each job, in turn, unless CUDA_VISIBLE_DEVICES is set already
# --num-nodes N      of no more than one machine
# --mem, --time ..., and flags of the queues such as -V and -l mem_free=1G: for queue.pl and slurm.pl; of no effect here
# After a failure no further job is started. A signal to run.pl ends its jobs.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use JobArray qw(fail parse_command_line make_directory job_log job_script died_of_signal report_failures);

my %array = parse_command_line(@ARGV);
$array{nodes} == 1 or fail("--num-nodes $array{nodes}: this is one machine; slurm.pl and queue.pl take several");
my $gpus_of_job = $array{options}{gpu} // 0;
$gpus_of_job =~ m/^\d+$/ or fail("--gpu takes a number, not '$gpus_of_job'");
my @gpus = gpus_to_share();
my $most = @gpus ? int(@gpus / $gpus_of_job) : $array{last} > $array{first} ? processors() : 1;
my $at_a_time = $array{options}{max_jobs_run} // $most;
$at_a_time =~ m/^[1-9]\d*$/ or fail("--max-jobs-run takes a positive number, not '$at_a_time'");
$at_a_time = $most if @gpus && $at_a_time > $most;

my (%job_of, %gpus_of, %attempts, @failed);
for my $signal (qw(INT TERM HUP)) {
  $SIG{$signal} = sub {
    $SIG{$signal} = 'DEFAULT';
    kill 'TERM', map { -$_ } keys %job_of;
    print STDERR "run.pl: stopped by SIG$signal; ended the jobs of $array{log}\n";
    kill $signal, $$;
  };
}

my @waiting = ($array{first} .. $array{last});
while (@waiting || %job_of) {
  if (@waiting && keys %job_of < $at_a_time) { start(shift @waiting); }
  else { wait_for_a_job(); }
  @waiting = () if @failed;
}
exit report_failures(\%array, sort { $a <=> $b } @failed);

sub start {
  my ($job) = @_;
  make_directory(dirname(job_log(\%array, $job)));
  my @bash = bash(job_script(\%array, $job, ++$attempts{$job}) . "exit \$code\n");
  my @given = splice(@gpus, 0, $gpus_of_job);
  my $pid = fork() // fail("cannot start a process: $!");
  if ($pid == 0) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    setpgrp(0, 0);    # a process group of its own, so that the whole pipe can be ended
    $ENV{CUDA_VISIBLE_DEVICES} = join(',', @given) if @given;
    exec(@bash) or fail("cannot start bash: $!");
  }
  setpgrp($pid, $pid);
  $job_of{$pid} = $job;
  $gpus_of{$pid} = \@given;
}

# The command that runs a script. Linux takes no argument of 128 kB, so a long script is a file without a name.
my $file;
sub bash {
  my ($script) = @_;
  return ('bash', '-c', $script) if length($script) < 100_000;
  local $^F = 1000;    # bash is to find it open
  open($file, '+>', undef) or fail("cannot open a temporary file: $!");
  print $file $script;
  seek($file, 0, 0);
  return ('bash', '/dev/fd/' . fileno($file));
}

sub wait_for_a_job {
  my $pid = waitpid(-1, 0);
  my $status = $?;
  my $job = delete $job_of{$pid} // return;
  push @gpus, @{delete $gpus_of{$pid}};
  return if $status == 0;
  if ($attempts{$job} <= $array{retries} && ($status & 127 || died_of_signal($status >> 8))) { unshift @waiting, $job; }
  else { push @failed, $job; }
}

sub processors {
  chomp(my $count = `nproc`);
  my $threads = $array{options}{num_threads} // 1;
  return $count > $threads ? int($count / $threads) : 1;
}

# The GPUs to hand out, or none if no GPU was asked for or if the choice was made outside.
sub gpus_to_share {
  return () if !$gpus_of_job || defined $ENV{CUDA_VISIBLE_DEVICES};
  my @lines = grep { m/^GPU \d+/ } `nvidia-smi -L 2>/dev/null`;
  fail("--gpu $gpus_of_job, but this machine has only " . @lines) if @lines && @lines < $gpus_of_job;
  return (0 .. $#lines);
}
