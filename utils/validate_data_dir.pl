#!/usr/bin/env perl
# Checks a Kaldi data directory: tables in order without duplicates, the same utterances in all of them, values that can be
# meant, existing recordings.
# Every problem is one line naming the file and the utterance; exits with 1 if there is any.
use strict;
use warnings;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);
use File::Basename;
use lib dirname(__FILE__);
use TextTable qw(is_number has_odd_space);

my $usage = "Usage: utils/validate_data_dir.sh [--no-feats] [--no-text] [--no-wav] [--no-spk-sort] [--non-print] <data-dir>\n"
  . "--no-feats and the like: the table may be missing. --no-spk-sort: utterance ids need not begin with the speaker id.\n"
  . "--non-print: text may have characters that cannot be printed.\n"
  . "utils/fix_data_dir.sh repairs what can be repaired.\n";
my ($no_feats, $no_text, $no_wav, $no_spk_sort, $non_print, $help);
GetOptions('no-feats' => \$no_feats, 'no-text' => \$no_text, 'no-wav' => \$no_wav, 'no-spk-sort' => \$no_spk_sort,
  'non-print' => \$non_print, 'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
@ARGV == 1 or die $usage;
my ($data) = @ARGV;
-d $data or die "validate_data_dir.sh: no such directory: $data\n";

my $problems = 0;
my $shown_per_table = 5;
my $remedy = "(utils/fix_data_dir.sh $data repairs this)";

# What the value of a line must be, in words and as a test.
my $length = ['a number of seconds above 0', sub { is_number($_[0]) && $_[0] > 0 }];
my $warp = ['a warping factor between 0.5 and 1.5', sub { is_number($_[0]) && $_[0] > 0.5 && $_[0] < 1.5 }];
my %form_of = (
  utt2spk => ['one speaker', sub { $_[0] =~ m/^\S+$/ }],
  utt2dur => $length,
  reco2dur => $length,
  utt2num_frames => ['a whole number of frames above 0', sub { is_number($_[0]) && $_[0] > 0 && $_[0] == int($_[0]) }],
  utt2warp => $warp,
  spk2warp => $warp,
  utt2snr => ['a number of decibels', \&is_number],
  spk2gender => ['m or f', sub { $_[0] =~ m/^[mf]$/ }],
  reco2file_and_channel => ['a file and A or B', sub { $_[0] =~ m/^\S+\s+[AB1]$/ }],
);
my $is_repaired = qr/^(?:utt2dur|utt2num_frames)$/;    # lines of no length are left out, as lines that are missing

my $utt2spk = read_table('utt2spk', 1) // {};
check_speakers();
my $segments = read_table('segments', 0);
my $text = read_table('text', !$no_text);
if ($text) {
  report_each('text', "has no words", grep { $text->{$_} eq '' } sort keys %$text);
  report_each('text', "has a symbol that cannot be a word (<s>, </s>, #0 and <eps> are reserved)",
    grep { $text->{$_} =~ m{(?:^|\s)(?:</?s>|#0|<eps>)(?:\s|$)} } sort keys %$text);
  compare_keys('utt2spk', $utt2spk, 'text', $text);
}
my $recordings = read_table('wav.scp', !$no_wav || $segments);
if ($recordings) {
  report_each('wav.scp', "has no file name or command", grep { $recordings->{$_} eq '' } sort keys %$recordings);
  report_each('wav.scp', "names a file that does not exist or is empty",
    grep { $recordings->{$_} ne '' && $recordings->{$_} !~ m/\|$/ && !-s ($recordings->{$_} =~ s/:\d+$//r) } sort keys %$recordings);
  compare_keys('utt2spk', $utt2spk, 'wav.scp', $recordings) if !$segments;
}
my %used = map { $_ => 1 } keys %$utt2spk;    # recordings
if ($segments) {
  check_segments();
  compare_keys('utt2spk', $utt2spk, 'segments', $segments);
  %used = map { (split(' ', $_))[0] // '' => 1 } values %$segments;
  report_each('wav.scp', "has no segment $remedy", grep { !$used{$_} } sort keys %{$recordings // {}});
}
for my $name ('reco2dur', 'reco2file_and_channel') {
  my $table = read_table($name, 0) // next;
  compare_keys($segments ? 'segments' : 'utt2spk', \%used, $name, $table, '');
}
for my $name ('feats.scp', 'utt2dur', 'utt2num_frames', 'utt2lang', 'utt2uniq', 'utt2warp', 'utt2snr', 'vad.scp') {
  my $table = read_table($name, $name eq 'feats.scp' && !$no_feats) // next;
  next if ($name eq 'feats.scp' || $name eq 'vad.scp') && $no_feats;
  compare_keys('utt2spk', $utt2spk, $name, $table);
}
my %speakers = map { $_ => 1 } values %$utt2spk;
for my $name ('cmvn.scp', 'spk2gender', 'spk2age', 'spk2warp') {
  my $table = read_table($name, 0) // next;
  next if $name eq 'cmvn.scp' && $no_feats;
  compare_keys('utt2spk', \%speakers, $name, $table);
}

exit 1 if $problems;
print "validate_data_dir.sh: $data is fine: " . keys(%$utt2spk) . " utterances, " . keys(%speakers) . " speakers\n";

sub problem {
  my ($message) = @_;
  print STDERR "validate_data_dir.sh: $message\n";
  $problems++;
}

# One line for each of the first keys, and one for how many more.
sub report_each {
  my ($name, $what, @keys) = @_;
  my $more = @keys - $shown_per_table;
  @keys = @keys[0 .. $shown_per_table - 1] if $more > 0;
  problem("$data/$name: '$_' $what") for @keys;
  problem("$data/$name: $more more lines of this kind") if $more > 0;
}

# Reads "<key> <rest>" lines into a hash, checking their order and what Kaldi's programs would stumble over; undef if the
# table is missing.
sub read_table {
  my ($name, $required) = @_;
  my $path = "$data/$name";
  if (!-e $path) {
    problem("$path is missing") if $required;
    return undef;
  }
  if (!-s $path) {
    problem("$path is empty");
    return {};
  }
  open(my $file, '<', $path) or die "validate_data_dir.sh: cannot open $path: $!\n";
  my (%table, $previous, @disorder, @duplicate, @carriage_return, @odd_space, @unprintable);
  while (my $line = <$file>) {
    problem("$path line $.: the last line does not end with a newline $remedy") unless chomp $line;
    my ($key, $rest) = $line =~ m/^(\S+)(?:\s+(.*?))?\s*$/;
    if (!defined $key) {
      problem("$path line $.: expected '<id> <value>', found '$line'");
      next;
    }
    push @carriage_return, $key if $line =~ m/\r/;
    if ($name eq 'text') {
      push @odd_space, $key if has_odd_space($line);
      push @unprintable, $key if !$non_print && has_unprintable($line);
    }
    if (exists $table{$key}) { push @duplicate, $key; }
    elsif (defined $previous && $key lt $previous) { push @disorder, $key; }
    $previous = $key;
    $table{$key} = $rest // '';
  }
  close($file);
  report_each($name, "has a carriage return (convert the file to Unix line ends)", @carriage_return);
  report_each($name, "has white space other than blanks and tabs, such as no-break spaces (make them blanks)", @odd_space);
  report_each($name, "has characters that cannot be printed (remove them, or allow them by --non-print)", @unprintable);
  report_each($name, "appears twice $remedy", @duplicate);
  report_each($name, "is out of order (LC_ALL=C sort) $remedy", @disorder);
  if (my $form = $form_of{$name}) {
    my ($wanted, $is_good) = @$form;
    report_each($name, "needs $wanted" . ($name =~ $is_repaired ? " $remedy" : ''),
      grep { !$is_good->($table{$_}) } sort keys %table);
  }
  return \%table;
}

# Is there a character that cannot be printed? In text that is not UTF-8 only the control characters of ASCII are.
sub has_unprintable {
  my ($characters) = @_;
  my $printable = utf8::decode($characters) ? '[:print:]' : '[:print:]\x80-\xff';
  return $characters =~ m/[^$printable[:space:]]/;
}

# Both tables must have the same keys; by default it is repaired where a key has no line in the second.
sub compare_keys {
  my ($name_a, $a_table, $name_b, $b_table, $remedy_of_missing) = @_;
  $remedy_of_missing //= " $remedy";
  report_each($name_b, "is not in $name_a $remedy", grep { !exists $a_table->{$_} } sort keys %$b_table);
  report_each($name_a, "has no line in $name_b$remedy_of_missing", grep { !exists $b_table->{$_} } sort keys %$a_table);
}

# spk2utt must be the inverse of utt2spk, and speakers must be in order when utterances are.
sub check_speakers {
  my $spk2utt = read_table('spk2utt', 1) // return;
  my %inverse;
  push @{$inverse{$utt2spk->{$_}}}, $_ for sort keys %$utt2spk;
  report_each('spk2utt', "differs from utt2spk $remedy",
    grep { ($spk2utt->{$_} // '') ne join(' ', @{$inverse{$_} // []}) } sort keys %{{%$spk2utt, %inverse}});
  return if $no_spk_sort;
  my $previous = '';
  for my $utterance (sort keys %$utt2spk) {
    my $speaker = $utt2spk->{$utterance};
    if ($speaker lt $previous) {
      problem("$data/utt2spk: '$utterance' of speaker '$speaker' comes after speaker '$previous'; "
          . "let utterance ids begin with the speaker id");
      return;
    }
    $previous = $speaker;
  }
}

sub check_segments {
  my $number = qr/(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?/;
  for my $utterance (sort keys %$segments) {
    my $value = $segments->{$utterance};
    my ($recording, $begin, $end) = split(' ', $value);
    my $is_segment = $value =~ m/^\S+\s+$number\s+(?:$number|-1(?:\.0*)?)(?:\s+\d+)?$/;
    if (!$is_segment || ($end <= $begin && $end != -1)) {
      problem("$data/segments: '$utterance' needs '<recording> <begin-seconds> <end-seconds> [<channel>]' with begin < end");
    } elsif ($recordings && !exists $recordings->{$recording}) {
      problem("$data/segments: '$utterance' is cut from '$recording', which has no line in wav.scp");
    }
  }
}
