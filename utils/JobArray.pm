package JobArray;
# What run.pl, queue.pl and slurm.pl share: their command line, the shell script of a job with its log, the report of failures.
use strict;
use warnings;
use Exporter 'import';
use File::Basename;
our @EXPORT_OK = qw(parse_command_line job_log job_script report_failures);

# Reads "[options] [JOB=1:N] <log> <command> <argument> ..." and returns the job array as a hash:
# options {name => value, dashes as underscores}, flags (a list: those of the queue itself, with one dash, as Kaldi allows),
# name ('JOB' or undef), first, last, log, command (its arguments).
sub parse_command_line {
  my (@arguments) = @_;
  my $program = basename($0);
  my %array = (options => {}, flags => [], first => 1, last => 1);
  # Options stand before or after JOB=1:N.
  while (@arguments && $arguments[0] =~ m/^-|^\w+=\d/) {
    my $argument = shift @arguments;
    if ($argument =~ m/^([A-Za-z_]\w*)=(\d+)(?::(\d+))?$/) {
      @array{qw(name first last)} = ($1, $2, $3 // $2);
      $array{first} >= 1 && $array{first} <= $array{last} or die "$program: bad job range $argument\n";
    } elsif ($argument =~ m/^--(help)$/) {
      print usage($program);
      exit 0;
    } elsif ($argument =~ m/^--([a-z][\w-]*)$/ || $argument eq '-tc') {
      my $option = $argument eq '-tc' ? 'max_jobs_run' : $1 =~ tr/-/_/r;
      $array{options}{$option} = shift(@arguments) // die "$program: option $argument needs a value\n";
    } elsif ($argument =~ m/^-[a-zA-Z]+$/) {
      my $values = {'-V' => 0, '-pe' => 2}->{$argument} // 1;
      push @{$array{flags}}, $argument, splice(@arguments, 0, $values);
    } else {
      die "$program: unexpected argument '$argument'\n" . usage($program);
    }
  }
  @arguments >= 2 or die usage($program);
  $array{log} = shift @arguments;
  if (defined $array{name} && $array{last} > $array{first} && $array{log} !~ m/$array{name}/) {
    die "$program: the jobs $array{name}=$array{first}:$array{last} would share the log $array{log}; put $array{name} in its name\n";
  }
  $array{command} = \@arguments;
  return %array;
}

sub usage {
  my ($program) = @_;
  return "Usage: $program [--max-jobs-run N] [--mem SIZE] [--num-threads N] [--gpu N] [JOB=1:N] <log> <command> [<argument> ...]\n"
    . "Runs the command, or N of them with JOB replaced by 1..N in the command and in the log's name.\n"
    . "An argument without spaces reaches the shell as it is, so \\|, '&&' and '>' connect commands.\n";
}

# The line for bash that runs job number $job, which may also be a shell variable such as ${SGE_TASK_ID}.
sub job_command {
  my ($array, $job) = @_;
  return join(' ', map { quote_argument($_, $array->{name}, $job) } @{$array->{command}});
}

# Kaldi's rule: a word goes to the shell bare, anything with spaces in double quotes, or in single ones if it has double quotes.
sub quote_argument {
  my ($argument, $name, $job) = @_;
  my $quote = $argument =~ m/^\S+$/ ? '' : $argument =~ m/"/ ? "'" : '"';
  my $number = $quote eq "'" && $job =~ m/^\$/ ? "'\"$job\"'" : $job;
  $argument =~ s/$name/$number/g if defined $name;
  return "$quote$argument$quote";
}

# The name of the log of job number $job.
sub job_log {
  my ($array, $job) = @_;
  return defined $array->{name} ? $array->{log} =~ s/$array->{name}/$job/gr : $array->{log};
}

# The bash script of job number $job: runs the command and writes the log, with the head and the tail that Kaldi's logs have.
# Every part of a pipe must succeed. Jobs are short and many, so bash alone does what is around the command.
sub job_script {
  my ($array, $job) = @_;
  my $command = job_command($array, $job);
  my $log = job_log($array, $job);
  my $threads = $array->{options}{num_threads} // 1;
  my $date = '%(%a %b %e %H:%M:%S %Z %Y)T';
  return <<"END_OF_SCRIPT";
log="$log"
set -o pipefail
IFS= read -r -d '' head <<END_OF_COMMAND
# @{[heredoc_text($command)]}
END_OF_COMMAND
printf '%s# Started at $date\n#\n' "\$head" -1 >"\$log" || exit 1
started=\$SECONDS
( $command
) >>"\$log" 2>&1
code=\$?
seconds=\$((SECONDS - started))
printf '# Accounting: time=%d threads=$threads\n# Ended (code %d) at $date, elapsed time %d seconds\n' \\
  "\$seconds" "\$code" -1 "\$seconds" >>"\$log"
END_OF_SCRIPT
}

# A command as it must stand in a here-document in which only task variables of the queue are expanded.
sub heredoc_text {
  my ($text) = @_;
  $text =~ s/([\\`])/\\$1/g;
  $text =~ s/\$(?!\{?(?:SGE_TASK_ID|SLURM_ARRAY_TASK_ID))/\\\$/g;
  return $text;
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
