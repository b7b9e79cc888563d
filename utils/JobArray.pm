package JobArray;
# What run.pl, queue.pl and slurm.pl share: their command line, the shell script of a job with its log, the report of failures.
use strict;
use warnings;
use Exporter 'import';
use File::Basename;
our @EXPORT_OK = qw(fail parse_command_line quoted make_directory job_log job_command job_script died_of_signal report_failures);

# Says what is wrong in one line and ends with status 1.
sub fail {
  my ($message) = @_;
  print STDERR basename($0) . ": $message\n";
  exit 1;
}

# Reads "[options] [JOB=1:N] <log> <command> <argument> ..." and returns the job array as a hash:
# options {name => value, dashes as underscores}, flags (a list: those of the queue itself, with one dash, as Kaldi allows),
# name ('JOB' or undef), first, last, nodes, threads and retries of a job, log, command (its arguments).
sub parse_command_line {
  my (@arguments) = @_;
  my $program = basename($0);
  my %array = (options => {}, flags => [], first => 1, last => 1, threads => 1);
  # Options stand before or after JOB=1:N.
  while (@arguments && $arguments[0] =~ m/^-|^\w+=\d/) {
    my $argument = shift @arguments;
    if ($argument =~ m/^([A-Za-z_]\w*)=(\d+)(?::(\d+))?$/) {
      @array{qw(name first last)} = ($1, $2, $3 // $2);
      $array{first} >= 1 && $array{first} <= $array{last} or fail("bad job range $argument: it goes from 1 upwards, as in $1=1:4");
    } elsif ($argument =~ m/^--(help)$/) {
      print usage($program);
      exit 0;
    } elsif ($argument =~ m/^--([a-z][\w-]*)$/ || $argument eq '-tc') {
      my $option = $argument eq '-tc' ? 'max_jobs_run' : $1 =~ tr/-/_/r;
      $array{options}{$option} = shift(@arguments) // fail("option $argument needs a value");
    } elsif ($argument =~ m/^-[a-zA-Z]+$/) {
      my @values = splice(@arguments, 0, {'-V' => 0, '-pe' => 2}->{$argument} // 1);
      next if $argument eq '-sync';    # the runner itself waits for the job
      $array{threads} = $values[1] if $argument eq '-pe';
      push @{$array{flags}}, $argument, @values;
    } else {
      fail("unexpected argument '$argument' (see --help)");
    }
  }
  if (@arguments < 2) {
    print STDERR usage($program);
    exit 1;
  }
  $array{log} = shift @arguments;
  if (defined $array{name} && $array{last} > $array{first} && $array{log} !~ m/$array{name}/) {
    fail("the jobs $array{name}=$array{first}:$array{last} would share the log $array{log}; put $array{name} in its name");
  }
  $array{command} = \@arguments;
  $array{threads} = $array{options}{num_threads} // $array{threads};
  $array{nodes} = $array{options}{num_nodes} // 1;
  $array{nodes} =~ m/^[1-9]\d*$/ or fail("--num-nodes takes a number of machines, not '$array{nodes}'");
  $array{retries} = delete $array{options}{max_retries} // 0;
  $array{retries} =~ m/^\d+$/ or fail("--max-retries takes a number, not '$array{retries}'");
  return %array;
}

sub usage {
  my ($program) = @_;
  return "Usage: $program [--max-jobs-run N] [--mem SIZE] [--num-threads N] [--gpu N] [--num-nodes N]\n"
    . "    [--max-retries N] [JOB=1:N] <log> <command> [<argument> ...]\n"
    . "Runs the command, or N of them with JOB replaced by 1..N in the command and in the log's name.\n"
    . "An argument without spaces reaches the shell as it is, so \\|, '&&' and '>' connect commands.\n"
    . "--max-retries: how often a job is begun anew that a signal ended or that was lost with its machine (default 0).\n";
}

# A text as one word for the shell.
sub quoted {
  my ($text) = @_;
  return "'" . $text =~ s/'/'\\''/gr . "'";
}

# Perl's File::Path takes longer to load than all else here.
sub make_directory {
  my ($directory) = @_;
  return if -d $directory;
  require File::Path;
  File::Path::make_path($directory, {error => \my $errors});
  -d $directory or fail("cannot make the directory $directory: " . join(', ', map { values %$_ } @$errors));
}

# The line for bash that runs job number $job.
sub job_command {
  my ($array, $job) = @_;
  return join(' ', map { quote_argument(defined $array->{name} ? s/$array->{name}/$job/gr : $_) } @{$array->{command}});
}

# Kaldi's rule: a word goes to the shell bare, anything with spaces in double quotes, or in single ones if it has double quotes.
sub quote_argument {
  my ($argument) = @_;
  my $quote = $argument =~ m/^\S+$/ ? '' : $argument =~ m/"/ ? "'" : '"';
  return "$quote$argument$quote";
}

# The name of the log of job number $job.
sub job_log {
  my ($array, $job) = @_;
  return defined $array->{name} ? $array->{log} =~ s/$array->{name}/$job/gr : $array->{log};
}

# The bash script of job number $job: runs the command and writes the log, with the head and the tail that Kaldi's logs have;
# leaves the exit code in $code. An attempt after the first is written below the ones before it.
# $run, if there is one, runs the command.
# Every part of a pipe must succeed. Jobs are short and many, so bash alone does what is around the command.
sub job_script {
  my ($array, $job, $attempt, $run) = @_;
  my $command = job_command($array, $job);
  $run //= $command;
  my $log = quoted(job_log($array, $job));
  my $head = quoted("# $command");
  my $date = '%(%a %b %e %H:%M:%S %Z %Y)T';
  my ($write, $which) = $attempt > 1 ? ('>>', "# Attempt $attempt of " . ($array->{retries} + 1) . '\n') : ('>', '');
  return <<"END_OF_SCRIPT";
log=$log
set -o pipefail
printf '%s\\n$which# Started at $date\\n# Running on %s\\n#\\n' $head -1 "\$HOSTNAME" $write"\$log" || exit 1
started=\$SECONDS
( $run
) >>"\$log" 2>&1
code=\$?
seconds=\$((SECONDS - started))
printf '# Accounting: time=%d threads=$array->{threads}\\n# Ended (code %d) at $date, elapsed time %d seconds\\n' \\
  "\$seconds" "\$code" -1 "\$seconds" >>"\$log"
END_OF_SCRIPT
}

# The shell's exit code of a command that a signal ended is 128 and the signal's number.
sub died_of_signal {
  my ($code) = @_;
  return $code > 128 && $code <= 192 ? $code - 128 : 0;
}

# Tells which jobs failed, with the end (and the first error) of the first one's log; returns the exit status.
sub report_failures {
  my ($array, @failed) = @_;
  return 0 unless @failed;
  my $program = basename($0);
  my $jobs = $array->{last} - $array->{first} + 1;
  my $log = job_log($array, $failed[0]);
  my $which = $jobs > 1 ? scalar(@failed) . " of $jobs jobs failed (" . join(' ', @failed) . ")" : 'job failed';
  print STDERR "$program: $which, log is in $log\n";
  if (open(my $file, '<', $log)) {
    my @lines = <$file>;
    my @end = splice(@lines, @lines > 15 ? -15 : 0);
    my ($first_error) = grep { m/^ERROR/ } @lines;    # of a pipe, the program that failed first says why
    print STDERR map { "  $_" } defined $first_error ? ($first_error, "...\n") : (), @end;
  } else {
    print STDERR "$program: cannot read $log: $!\n";
  }
  return 1;
}

1;
