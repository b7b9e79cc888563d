#!/usr/bin/env perl
# Runs a command, or an array of jobs JOB=1:N, on GridEngine; same interface and logs as run.pl. As Kaldi's queue.pl.
# conf/queue.conf (or --config FILE) translates --mem, --num-threads, --gpu, --num-nodes, --max-jobs-run into flags of qsub.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use JobArray qw(quoted);
use QueuedArray qw(run_queued answer_of);

my %grid_engine = (
  config_file => 'conf/queue.conf',
  default_config => <<'END_OF_CONFIG',
command qsub -v PATH -cwd -S /bin/bash -j y
option mem=* -l mem_free=$0,ram_free=$0
option mem=0
option num_threads=* -pe smp $0
option num_threads=1
option num_nodes=* -pe nodes $0
option num_nodes=1
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
  # There is one parallel environment for a job; that of several machines is asked for all their slots.
  options => sub {
    my ($options, $nodes) = @_;
    $options->{num_nodes} = $nodes * (delete $options->{num_threads} // 1) if $nodes > 1;
  },
  on_nodes => \&on_nodes,
  before => \&choose_gpus,
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

# The slots of the first machine are this job's own, others are reached by qrsh, for which a command is text for a shell.
# After a failure the others have 5 s to fail too, and the highest exit code says whether a signal ended one of them. When the
# job ends, GridEngine ends what is left of it on all machines.
sub on_nodes {
  my ($script, $nodes, $threads) = @_;
  my $by_qrsh = quoted("bash $script");
  return <<"END_OF_SCRIPT";
hosts=()
while read -r name slots _; do
  for ((; slots >= $threads; slots -= $threads)); do hosts+=("\$name"); done
done <"\$PE_HOSTFILE"
if [ "\${#hosts[@]}" -ne $nodes ]; then
  echo "queue.pl: \$NSLOTS slots were to be $nodes machines of $threads, but GridEngine gave: \$(cut -d ' ' -f 1,2 "\$PE_HOSTFILE" | paste -s -d ,)." \
    "The allocation_rule of the parallel environment \$PE is to be $threads"
  exit 1
fi
bash $script 0 "\$host" "\$port" &
running=(\$!)
for ((rank = 1; rank < $nodes; rank++)); do
  qrsh -inherit -nostdin "\${hosts[rank]}" $by_qrsh" \$rank \$host \$port" &
  running+=(\$!)
done
highest=0 deadline=
while [ \${#running[@]} -gt 0 ] && [ "\$SECONDS" -lt "\${deadline:-\$((SECONDS + 1))}" ]; do
  sleep 0.5
  for rank in "\${!running[@]}"; do
    if kill -0 "\${running[rank]}" 2>/dev/null; then continue; fi
    wait "\${running[rank]}"
    ended=\$?
    unset "running[rank]"
    if [ \$ended -gt \$highest ]; then highest=\$ended; fi
    if [ \$ended -gt 0 ]; then deadline=\${deadline:-\$((SECONDS + 5))}; fi
  done
done
exit \$highest
END_OF_SCRIPT
}

# GridEngine counts GPUs, but does not say which of them are a job's. Where the site's prolog does not either, a job takes some
# that no other of queue.pl has the lock of; a lock ends with its job.
sub choose_gpus {
  my ($options) = @_;
  my $wanted = $options->{gpu} // 0;
  return '' if $wanted !~ m/^[1-9]\d*$/;
  return <<"END_OF_SCRIPT";
if [ -z "\${CUDA_VISIBLE_DEVICES+set}" ] && command -v nvidia-smi >/dev/null; then
  gpus=()
  for gpu in \$(nvidia-smi -L | sed -n 's/^GPU \\([0-9]*\\):.*/\\1/p'); do
    [ \${#gpus[@]} -lt $wanted ] || break
    [ -e "/tmp/queue.pl.gpu\$gpu" ] || (: >>"/tmp/queue.pl.gpu\$gpu") 2>/dev/null
    exec {lock}<"/tmp/queue.pl.gpu\$gpu"
    if flock --nonblock "\$lock"; then gpus+=("\$gpu"); else exec {lock}<&-; fi
  done
  if [ \${#gpus[@]} -lt $wanted ]; then
    echo "--gpu $wanted, but on \$HOSTNAME only \${#gpus[@]} are free of other jobs of queue.pl"
    exit 1
  fi
  CUDA_VISIBLE_DEVICES=\$(IFS=,; echo "\${gpus[*]}")
  export CUDA_VISIBLE_DEVICES
fi
END_OF_SCRIPT
}

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
