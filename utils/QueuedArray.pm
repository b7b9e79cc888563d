package QueuedArray;
# Runs a job array on a batch queue: submits one script for all tasks and waits until each has left its exit code.
#
# A configuration translates our options for the queue, one rule a line, as in Kaldi's conf/queue.conf:
#   command <submission command>       option mem=* <flags with $0 for the value>
#   default gpu=0                      option gpu=0 <flags of exactly this value; none: ignored>
use strict;
use warnings;
use Cwd;
use Exporter 'import';
use File::Basename;
use File::Path qw(make_path);
use JobArray qw(parse_command_line job_log job_script report_failures);
our @EXPORT_OK = qw(run_queued);

# %queue: name, default_config (text), task_variable, array_flags (sub of the array), cancel (command),
# is_alive (sub of the job's id: is any task pending or running?). Returns the exit status.
sub run_queued {
  my ($queue, @arguments) = @_;
  my $program = basename($0);
  my %array = parse_command_line(@arguments);
  my $config = delete $array{options}{config} // $queue->{config_file};
  my $rules = read_rules(-e $config ? slurp($config) : $queue->{default_config}, $config);
  my $submit = join(' ', submission_command($rules, $array{options}, $config), @{$array{flags}});

  # Files of this submission lie beside the logs, in q/.
  make_path(dirname(job_log(\%array, $array{first})));
  my $folder = getcwd() . '/' . dirname($array{log}) . '/q';
  $folder = dirname($array{log}) . '/q' if $array{log} =~ m:^/:;
  make_path($folder);
  my $base = "$folder/" . basename(job_log(\%array, 'ALL'), '.log');
  unlink glob("$base.done.*");
  my $task = defined $array{name} ? "\${$queue->{task_variable}}" : 1;
  write_file("$base.sh", "#!/usr/bin/env bash\ncd '" . getcwd() . "' || exit 1\n" . job_script(\%array, $task)
      . "echo \$code >'$base.done.'$task.tmp && mv '$base.done.'$task.tmp '$base.done.'$task\nexit \$code\n");

  my $flags = defined $array{name} ? $queue->{array_flags}->(\%array) : '';
  my $line = "$submit $flags $queue->{output_flag} '$base.queue.log' '$base.sh'";
  my $answer = `$line 2>&1`;
  $? == 0 && $answer =~ m/(?:job(?:-array)?) (\d+)/ or die "$program: submission failed: $line\n$answer";
  my $id = $1;
  for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} = sub { system("$queue->{cancel} $id >/dev/null"); die "$program: stopped by SIG$signal; cancelled job $id\n" };
  }
  my %code = wait_for_tasks($queue, $id, $base, defined $array{name} ? ($array{first} .. $array{last}) : (1));
  for my $lost (grep { !defined $code{$_} } keys %code) {
    print STDERR "$program: task $lost of job $id left the queue without an exit code, see $base.queue.log\n";
  }
  return report_failures(\%array, grep { ($code{$_} // 1) != 0 } sort { $a <=> $b } keys %code);
}

# Waits until every task has written its exit code, or until the queue has no task left for a minute.
sub wait_for_tasks {
  my ($queue, $id, $base, @tasks) = @_;
  my $patience = $ENV{QUEUE_PATIENCE_SECONDS} // 60;    # network file systems show files late
  my ($pause, $last_alive) = (0.1, time);
  my $next_check = time + $patience / 4;
  my %code = map { $_ => undef } @tasks;
  while (my @open = grep { !defined $code{$_} } @tasks) {
    select(undef, undef, undef, $pause);
    $pause = $pause * 1.5 < 5 ? $pause * 1.5 : 5;
    for my $task (@open) {
      $code{$task} = 0 + slurp("$base.done.$task") if -s "$base.done.$task";
    }
    next if time < $next_check;
    $next_check = time + $patience / 4;
    $last_alive = time if $queue->{is_alive}->($id);
    last if time - $last_alive > $patience;
  }
  return %code;
}

sub read_rules {
  my ($text, $name) = @_;
  my %rules = (defaults => {}, options => {});
  for (split(/\n/, $text)) {
    s/#.*//;
    next unless m/\S/;
    if (m/^command\s+(.+?)\s*$/) { $rules{command} = $1; }
    elsif (m/^default\s+(\w+)=(\S+)\s*$/) { $rules{defaults}{$1} = $2; }
    elsif (m/^option\s+(\w+)=(\S+)\s*(.*?)\s*$/) { $rules{options}{$1}{$2} = $3; }
    else { die basename($0) . ": $name: cannot read the line '$_'\n"; }
  }
  $rules{command} // die basename($0) . ": $name has no 'command' line\n";
  return \%rules;
}

sub submission_command {
  my ($rules, $options, $name) = @_;
  my %value = (%{$rules->{defaults}}, %$options);
  my $command = $rules->{command};
  for my $option (sort keys %value) {
    my $known = $rules->{options}{$option} // die basename($0) . ": option --$option has no rule in $name\n";
    my $flags = $known->{$value{$option}} // $known->{'*'}
      // die basename($0) . ": --$option $value{$option} has no rule in $name\n";
    $flags =~ s/\$0/$value{$option}/g;
    $command .= " $flags" if $flags ne '';
  }
  return $command;
}

sub slurp {
  my ($name) = @_;
  open(my $file, '<', $name) or die basename($0) . ": cannot read $name: $!\n";
  local $/ = undef;
  return scalar <$file>;
}

sub write_file {
  my ($name, $text) = @_;
  open(my $file, '>', $name) or die basename($0) . ": cannot write $name: $!\n";
  print $file $text;
  close($file) or die basename($0) . ": cannot write $name: $!\n";
}

1;
