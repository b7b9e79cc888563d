package QueuedArray;
# Runs a job array on a batch queue: submits a script for all tasks and waits until each has left its exit code.
#
# A configuration translates our options for the queue, one rule a line, as in Kaldi's conf/queue.conf:
#   command <submission command>       option mem=* <flags with $0 for the value>
#   default gpu=0                      option gpu=0 <flags of exactly this value; none: ignored>
#
# A submission has a folder of its own beside the logs, q/<log>.<host>.<process>.<time>, whose name is the job's name too:
#   submit.sh      what the queue runs for each task, which is
#   task.<task>    what run.pl would run, in the runner's environment; its exit code goes to
#   exit.<task>.<attempt>
#   node.<task>    of a job of several machines: what each of them runs; task.<task> then runs on the first of them and starts it
#   queue.<task>   what the queue itself has to say of the task
#   lock           held by the runner: without the lock, the runner has died
# The runner removes it when it ends. If it was killed, the next runner with this log cancels its job, which would write to the
# same files.
use strict;
use warnings;
use Cwd;
use Exporter 'import';
use Fcntl qw(:flock);
use File::Basename;
use File::Path qw(make_path remove_tree);
use JobArray qw(fail parse_command_line quoted make_directory job_log job_command job_script died_of_signal report_failures);
our @EXPORT_OK = qw(run_queued answer_of);

# What programs compute and where they are found may depend on these variables, which jobs therefore get from the runner.
my $inherited = qr/^(?:PATH|KALDI_ROOT|LC_ALL|LD_LIBRARY_PATH|(?:PYTHON|OMP_|MKL_|OPENBLAS_|NUMBA_|TF_|TORCH_|GLOO_|NCCL_)\w*)$/;
# Within how many seconds a task is noticed to be lost: how long it takes until the queue is asked, and then how long its exit
# code may take to appear on a network's file system.
my $patience = $ENV{QUEUE_PATIENCE_SECONDS} // 10;
my ($seconds_between_checks, $seconds_until_lost) = (0.6 * $patience, 0.4 * $patience);
my $tries = 4;                     # to submit, while the queue cannot be reached
my $seconds_between_tries = $ENV{QUEUE_RETRY_SECONDS} // 20;

my ($queue, %array, $folder, $name, $lock, $stopped);
my %open;      # the tasks that have not ended: {job, attempt, lost (since when), why}
my %reason;    # why tasks failed, as far as their logs do not say

# What a queue is, in a hash:
#   config_file, default_config (text), task_variable
#   flags(name, first, last, limit, output): those of a submission of these tasks, at most so many at a time, or undef, with what
#     the queue says of them in files of this name and the task's number, or undef
#   options(options, nodes): makes of the runner's options what the configuration has rules for (if there is anything to do)
#   on_nodes(script, nodes, threads): the lines that run bash with this script (a quoted name) and the arguments <number from 0>
#     "$host" "$port" on each machine of a job of several, until one fails or all have ended
#   before(options): lines for before the command, where it runs (if there is anything to do)
#   job(answer): the number of the job, if the submission was accepted
#   unreachable: a pattern of answers to a submission that say that the queue could not be reached, or is too busy to answer
#   states(job): (answer, {task => [waiting|running|stuck|ended, reason]}) of the tasks that it knows; undef for an answer that
#     does not say which it knows
#   waiting(job): the reason why all tasks wait, if states does not say it
#   end(job, task): why a task ended that states does not know any more, or ''
#   again: a pattern of the reasons, beside none, for which a task that was ended is worth another attempt
#   find(name): the command that writes the number of the job of this name, if there is one
#   cancel(name), cancel_task(job, task): the commands that end them
# Returns the exit status.
sub run_queued {
  ($queue, my @arguments) = @_;
  %array = parse_command_line(@arguments);
  my $command = submission_command();
  make_directory(dirname(job_log(\%array, $_))) for $array{first} .. $array{last};
  $SIG{$_} = sub { $stopped = $_[0] } for qw(INT TERM HUP);
  my $logs = dirname($array{log});
  $logs = dirname($logs) while defined $array{name} && $logs =~ m/$array{name}/;    # folders that are named after the job
  $logs = getcwd() . ($logs eq '.' ? '' : "/$logs") if $logs !~ m:^/:;
  clear_up_after_others("$logs/q");
  make_folder("$logs/q");
  write_file("$folder/submit.sh", submitted_script());
  begin($command, $array{first}, $array{last}, 1);
  my @failed = wait_for_tasks($command);
  print STDERR map { basename($0) . ": $reason{$_}\n" } grep { defined $reason{$_} } @failed;
  return report_failures(\%array, @failed);
}

# The job's name: a word for the log, and what makes it this runner's.
sub job_name {
  my $word = basename(job_log(\%array, ""), ".log") =~ s{\.$}{}r =~ s{[^\w.-]+}{_}gr;
  return substr($word =~ m/^[A-Za-z]/ ? $word : "log$word", 0, 100);
}

sub host {
  require Sys::Hostname;
  return Sys::Hostname::hostname() =~ s/[^\w-].*//r;
}

# The folder appears with its lock held.
sub make_folder {
  my ($parent) = @_;
  $name = join('.', job_name(), host(), $$, time);
  make_path("$parent/.$name", {error => \my $ignored}) for 1 .. 3;    # another runner may just remove an empty q/
  make_directory("$parent/.$name");
  open($lock, '>', "$parent/.$name/lock") or fail("cannot write $parent/.$name/lock: $!");
  flock($lock, LOCK_EX);
  rename("$parent/.$name", "$parent/$name") or fail("cannot make $parent/$name: $!");
  $folder = "$parent/$name";
}

sub remove_folder {
  my ($which) = @_;
  remove_tree($which, {error => \my $ignored});
  rmdir dirname($which);    # unless others use it
}

# However the runner ends, its job ends with it.
END {
  my $status = $?;
  if (defined $folder) {
    my $left = %open ? cancel($name) : '';
    print STDERR basename($0) . ": $left\n" if $left ne '';
    remove_folder($folder) if $left eq '';
  }
  $? = $status;
}

# Cancels a job by its name; returns '', or what to do by hand.
sub cancel {
  my ($job_name) = @_;
  local @SIG{qw(INT TERM HUP)} = ('IGNORE') x 3;
  my $command = $queue->{cancel}->($job_name);
  for my $try (1 .. $tries) {
    my $answer = answer_of($command);
    return '' if $answer !~ $queue->{unreachable};
    sleep 5 if $try < $tries;
  }
  return "the queue cannot be reached to cancel the job; when it answers again: $command";
}

# Its number, if the queue has it.
sub job_named {
  my ($job_name) = @_;
  return (answer_of($queue->{find}->($job_name)) =~ m/^(?:job_number:\s*)?(\d+)\s*$/m)[0];
}

# Jobs of runners on this machine that died with the same log, and could not say so.
sub clear_up_after_others {
  my ($parent) = @_;
  my ($word, $host) = (job_name(), host());
  for my $other (grep { m/^\Q$word.$host\E\.\d+\.\d+$/ } file_names($parent)) {
    open(my $its_lock, '<', "$parent/$other/lock") or next;
    flock($its_lock, LOCK_EX | LOCK_NB) or next;
    print STDERR basename($0) . ": an earlier run with the log $array{log} was killed: cancelling its job $other\n";
    my $left = cancel($other);
    fail($left) if $left ne '';
    for (1 .. 60) {
      last if !defined job_named($other);
      pause(1);
    }
    remove_folder("$parent/$other");
  }
}

# Submits tasks for their attempt number $attempt.
sub begin {
  my ($command, $first, $last, $attempt) = @_;
  for ($first .. $last) {
    write_file("$folder/task.$_", task_script($_, $attempt));
    write_file("$folder/node.$_", node_script($_)) if $array{nodes} > 1;
  }
  $open{$_} = {attempt => $attempt} for $first .. $last;
  # The queues give a meaning to some characters in the names of the files for what they have to say.
  my $plain = $folder =~ m{^[\w/.+,=\@~-]+$};
  my $flags = $queue->{flags}->($name, $first, $last, $array{options}{max_jobs_run}, $plain ? "$folder/queue" : undef);
  my $job = submit("$command $flags " . quoted("$folder/submit.sh"), $plain ? '.' : '/');
  $open{$_}{job} = $job for $first .. $last;
}

# Returns the job's number.
sub submit {
  my ($line, $directory) = @_;
  for my $try (1 .. $tries) {
    my $answer = answer_of($line, $directory);
    my $job = $queue->{job}->($answer);
    stop() if $stopped;
    return $job if defined $job;
    if ($answer !~ $queue->{unreachable}) {
      %open = ();
      fail("submission failed: " . one_line($answer) . " ($line)");
    }
    print STDERR basename($0) . ": the queue cannot be reached to submit $name: " . one_line($answer) . "\n";
    last if $try == $tries;
    pause($seconds_between_tries);
    # The job may have been taken and only the answer have been lost.
    $job = job_named($name);
    return $job if defined $job;
  }
  fail("submission failed $tries times");
}

# The output of a command. Signals to the runner's process group, such as Ctrl-C, do not reach the command: what was submitted
# is to be known. A signal to the runner is answered afterwards.
sub answer_of {
  my ($line, $directory) = @_;
  my $pid = open(my $pipe, '-|') // fail("cannot start a process: $!");
  if ($pid == 0) {
    setpgrp(0, 0);
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    chdir($directory // '.');
    open(STDERR, '>&', \*STDOUT);
    { exec('/bin/sh', '-c', $line) };
    kill 'KILL', $$;    # nothing of the runner's end is this process's to do
  }
  local $/ = undef;
  my $answer = <$pipe> // '';
  close($pipe);
  return $answer;
}

sub submitted_script {
  return "#!/usr/bin/env bash\ntask=" . quoted("$folder/task.") . "\$$queue->{task_variable}\n" . <<'END_OF_SCRIPT';
for _ in {1..30}; do [ -r "$task" ] && break; sleep 1; done # network file systems show files late
exec bash "$task"
END_OF_SCRIPT
}

# The lines that bring a shell to where the runner is.
sub same_place {
  my $variables = join(' ', map { "$_=" . quoted($ENV{$_}) } grep { m/$inherited/ } sort keys %ENV);
  return "cd " . quoted(getcwd()) . " || exit 1\nexport $variables\nif [ -f path.sh ]; then . ./path.sh; fi\n";
}

sub before_command {
  return $queue->{before} ? $queue->{before}->($array{options}) : '';
}

# The queue takes exit codes such as 99 and 100 for orders, so it gets to see 0 and 1 only.
sub task_script {
  my ($task, $attempt) = @_;
  my $exit = quoted("$folder/exit.$task.$attempt");
  my $run = $array{nodes} > 1 ? run_on_nodes($task) : undef;
  return "(\n" . same_place() . ($run ? '' : before_command()) . job_script(\%array, $task, $attempt, $run)
    . "exit \$code\n)\ncode=\$?\necho \$code >$exit.tmp && mv $exit.tmp $exit\nexit \$((code != 0))\n";
}

# The machines of a job find each other by the first one's name and a port that is free there.
sub run_on_nodes {
  my ($task) = @_;
  my $find_port = q{python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'};
  my $start = $queue->{on_nodes}->(quoted("$folder/node.$task"), @array{qw(nodes threads)});
  return "host=\$(uname -n)\nport=\$($find_port) || exit 1\n$start";
}

# What torch.distributed calls them tells the command its machine's number and the first machine.
sub node_script {
  my ($task) = @_;
  return "export NODE_RANK=\$1 MASTER_ADDR=\$2 MASTER_PORT=\$3\n" . same_place() . before_command()
    . "set -o pipefail\n( " . job_command(\%array, $task) . "\n)\n";
}

# Waits until every task has ended; returns those that failed.
sub wait_for_tasks {
  my ($command) = @_;
  my ($next_check, $seconds, @failed) = (time + $seconds_between_checks, 0.1);
  while (%open) {
    my $any_lost = grep { defined $_->{lost} } values %open;
    $seconds = $any_lost ? 0.5 : $seconds * 1.3 < 2 ? $seconds * 1.3 : 2;
    pause($seconds);
    if ($any_lost) {
      write_file("$folder/look", '');    # a network file system looks anew at a folder that changes
      unlink("$folder/look");
    }
    for (file_names($folder)) {
      my ($task, $attempt) = m/^exit\.(\d+)\.(\d+)$/ or next;
      next if !$open{$task} || $open{$task}{attempt} != $attempt;
      my $code = slurp("$folder/$_");
      next if $code !~ m/^\d+\n/;
      if (my $signal = died_of_signal($code)) {    # the queue may know why
        $open{$task}{signal} = $signal;
        $open{$task}{lost} //= time;
      } else {
        push @failed, end_task($command, $task, $code != 0, '', 0);
      }
    }
    my @lost = grep { defined $open{$_}{lost} && time - $open{$_}{lost} >= $seconds_until_lost } keys %open;
    if (@lost || time >= $next_check) {
      check_states();
      $next_check = time + $seconds_between_checks;
    }
    for my $task (grep { $open{$_} && defined $open{$_}{lost} } @lost) {
      my ($job, $signal) = @{$open{$task}}{qw(job signal)};
      my $why = $open{$task}{why} || ($signal ? '' : $queue->{end}->($job, $task));
      my $worth_a_retry = $why eq '' || $why =~ $queue->{again};
      $why = join(', ', "died of signal $signal", $why || ()) if $signal;
      push @failed, end_task($command, $task, 1, $why || 'left the queue without an exit code', $worth_a_retry);
    }
  }
  return sort { $a <=> $b } @failed;
}

# Takes a task from the open ones; begins it anew if that is worth it and retries are left. Returns it if it failed for good.
sub end_task {
  my ($command, $task, $failed, $why, $worth_a_retry) = @_;
  my ($job, $attempt) = @{delete $open{$task}}{qw(job attempt)};
  return () if !$failed;
  my $words = -s "$folder/queue.$task" ? slurp("$folder/queue.$task") : '';
  $words =~ s/^.*: line \d+: +\d+ [A-Z].*\n//mg;    # bash on the process that a signal ended
  $why = join(': ', grep { $_ ne '' } $why, one_line($words));
  if ($why ne '') {
    $reason{$task} = "task $task of job $job: $why";
    if (open(my $log, '>>', job_log(\%array, $task))) { print $log '# ' . basename($0) . ": $reason{$task}\n"; }
  }
  return $task if !$worth_a_retry || $attempt > $array{retries};
  print STDERR basename($0) . ": $reason{$task}; attempt " . ($attempt + 1) . " of " . ($array{retries} + 1) . "\n";
  unlink("$folder/queue.$task");
  delete $reason{$task};
  begin($command, $task, $task, $attempt + 1);
  return ();
}

my ($last_answer, $last_said, %said) = (time, time);

# Asks the queue for the tasks that have not ended, and marks those as lost that it lost or ended itself.
sub check_states {
  for my $job (keys %{{map { $_->{job} => 1 } values %open}}) {
    my ($answer, $states) = $queue->{states}->($job);
    if (!defined $states) {
      if (time - $last_said >= 60) {
        $last_said = time;
        my $seconds = time - $last_answer;
        print STDERR basename($0) . ": the queue has not answered for $seconds s, waiting for it: " . one_line($answer) . "\n";
      }
      next;
    }
    $last_answer = $last_said = time;
    my $all_wait = 1;
    for my $task (grep { $open{$_}{job} == $job } keys %open) {
      my ($state, $why) = @{$states->{$task} // ['ended', '']};
      if ($state eq 'stuck') {
        $why = $queue->{waiting}->($job) if $why eq '';
        answer_of($queue->{cancel_task}->($job, $task));
      }
      $all_wait = 0 if $state ne 'waiting';
      if ($state eq 'stuck' || $state eq 'ended') { $open{$task}{lost} //= time; $open{$task}{why} ||= $why; }
      elsif (!$open{$task}{signal}) { delete @{$open{$task}}{qw(lost why)}; }
    }
    say_why_all_wait($job, $states) if $all_wait;
  }
}

# A minute after its submission, and when the reason changes.
sub say_why_all_wait {
  my ($job, $states) = @_;
  return if time - $^T < 60;
  my $why = (map { $_->[1] } values %$states)[0] || $queue->{waiting}->($job);
  print STDERR basename($0) . ": job $job waits in the queue: $why\n" if $why ne '' && !$said{$why}++;
}

sub pause {
  my ($seconds) = @_;
  select(undef, undef, undef, $seconds) if !$stopped;
  stop() if $stopped;
}

# Ends as the signal asks.
sub stop {
  my $left = defined $name ? cancel($name) : '';
  print STDERR basename($0) . ": stopped by SIG$stopped; " . ($left || "cancelled the job of $array{log}") . "\n";
  remove_folder($folder) if defined $folder && $left eq '';
  $SIG{$stopped} = 'DEFAULT';
  kill $stopped, $$;
}

# The rules of a configuration.
sub read_rules {
  my ($text, $file) = @_;
  my %rules = (defaults => {}, options => {});
  my $number = 0;
  for (split(/\n/, $text)) {
    $number++;
    s/#.*//;
    next unless m/\S/;
    if (m/^command\s+(.+?)\s*$/) { $rules{command} = $1; }
    elsif (m/^default\s+(\w+)=(\S+)\s*$/) { $rules{defaults}{$1} = $2; }
    elsif (m/^option\s+(\w+)=(\S+)\s*(.*?)\s*$/) { $rules{options}{$1}{$2} = $3; }
    else { fail("$file line $number: cannot read '" . s/\s+$//r . "'"); }
  }
  $rules{command} // fail("$file has no 'command' line");
  return \%rules;
}

# The command that submits, with the flags that the options stand for.
sub submission_command {
  my $file = delete $array{options}{config};
  fail("cannot read the configuration $file") if defined $file && !-r $file;
  $file //= $queue->{config_file};
  my $rules = read_rules(-e $file ? slurp($file) : $queue->{default_config}, $file);
  my %value = (%{$rules->{defaults}}, %{$array{options}});
  $queue->{options}->(\%value, $array{nodes}) if $queue->{options};
  my $command = $rules->{command};
  for my $option (sort keys %value) {
    my $known = $rules->{options}{$option};
    next if !$known && $option eq 'max_jobs_run';    # as Kaldi's
    $known or fail("option --$option has no rule in $file");
    my $flags = $known->{$value{$option}} // $known->{'*'} // fail("--$option $value{$option} has no rule in $file");
    $flags =~ s/\$0/$value{$option}/g;
    $command .= " $flags" if $flags ne '';
  }
  my ($program) = split(' ', $command);
  grep { -x "$_/$program" } split(/:/, $ENV{PATH}) or -x $program
    or fail("there is no $program on this machine: choose run.pl in cmd.sh, or a machine of the queue");
  return join(' ', $command, map { quoted($_) } @{$array{flags}});
}

sub file_names {
  my ($directory) = @_;
  opendir(my $handle, $directory) or return ();
  return readdir($handle);
}

# The lines of an answer as one.
sub one_line {
  my ($text) = @_;
  my $line = join('; ', grep { m/\S/ } map { s/^\s+|\s+$//gr } split(/\n/, $text));
  return length($line) > 500 ? substr($line, 0, 500) . ' ...' : $line;
}

sub slurp {
  my ($file_name) = @_;
  open(my $file, '<', $file_name) or fail("cannot read $file_name: $!");
  local $/ = undef;
  return scalar(<$file>) // '';
}

sub write_file {
  my ($file_name, $text) = @_;
  open(my $file, '>', $file_name) or fail("cannot write $file_name: $!");
  print $file $text;
  close($file) or fail("cannot write $file_name: $!");
}

1;
