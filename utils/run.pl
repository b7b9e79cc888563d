#!/usr/bin/env perl
# Runs a command, or an array of jobs JOB=1:N in parallel, on this machine; every job writes a log. As Kaldi's run.pl.
#
# --max-jobs-run N   at most N at a time (default: as many as there are processors, or with --gpu as have GPUs)
# --num-threads N    threads of a job: fewer jobs run at a time
# --gpu N            N > 0: so many GPUs for each job, in turn, unless CUDA_VISIBLE_DEVICES is set already
# --mem, --time ..., and flags of the queues such as -V and -l mem_free=1G: for queue.pl and slurm.pl; of no effect here
# After a failure no further job is started. A signal to run.pl ends its jobs.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use JobArray qw(parse_command_line job_log job_script report_failures);

my %array = parse_command_line(@ARGV);
my $gpus_of_job = $array{options}{gpu} // 0;
$gpus_of_job =~ m/^\d+$/ or die "run.pl: --gpu takes a number, not '$gpus_of_job'\n";
my @gpus = gpus_to_share();
my $most = @gpus ? int(@gpus / $gpus_of_job) : $array{last} > $array{first} ? processors() : 1;
my $at_a_time = $array{options}{max_jobs_run} // $most;
$at_a_time =~ m/^[1-9]\d*$/ or die "run.pl: --max-jobs-run takes a positive number, not '$at_a_time'\n";
$at_a_time = $most if @gpus && $at_a_time > $most;

my (%job_of, %gpus_of, @failed);
for my $signal (qw(INT TERM HUP)) {
  $SIG{$signal} = sub {
    $SIG{$signal} = 'DEFAULT';
    kill 'TERM', map { -$_ } keys %job_of;
    print STDERR "run.pl: stopped by SIG$signal; ended the jobs of $array{log}\n";
    kill $signal, $$;
  };
}

for my $job ($array{first} .. $array{last}) {
  wait_for_a_job() while keys %job_of >= $at_a_time;
  last if @failed;
  start($job);
}
wait_for_a_job() while %job_of;
exit report_failures(\%array, sort { $a <=> $b } @failed);

sub start {
  my ($job) = @_;
  make_directory(dirname(job_log(\%array, $job)));
  my $script = job_script(\%array, $job) . "exit \$code\n";
  my @given = splice(@gpus, 0, $gpus_of_job);
  my $pid = fork() // die "run.pl: cannot start a process: $!\n";
  if ($pid == 0) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    setpgrp(0, 0);    # a process group of its own, so that the whole pipe can be ended
    $ENV{CUDA_VISIBLE_DEVICES} = join(',', @given) if @given;
    exec('bash', '-c', $script) or die "run.pl: cannot start bash: $!\n";
  }
  setpgrp($pid, $pid);
  $job_of{$pid} = $job;
  $gpus_of{$pid} = \@given;
}

# Perl's File::Path and POSIX take longer to load than all else here.
sub make_directory {
  my ($directory) = @_;
  return if -d $directory;
  require File::Path;
  File::Path::make_path($directory);
}

sub wait_for_a_job {
  my $pid = waitpid(-1, 0);
  my $status = $?;
  my $job = delete $job_of{$pid} // return;
  push @failed, $job if $status != 0;
  push @gpus, @{delete $gpus_of{$pid}};
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
  die "run.pl: --gpu $gpus_of_job, but this machine has only " . @lines . "\n" if @lines && @lines < $gpus_of_job;
  return (0 .. $#lines);
}
