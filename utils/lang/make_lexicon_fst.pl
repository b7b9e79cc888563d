#!/usr/bin/env perl
# Writes the lexicon transducer L in OpenFst's text format: phones in, words out, a loop over the words.
#
# With a silence phone, it may follow every word and stand at the beginning, with probability --sil-prob:
# words enter from and return to state 1; those followed by silence return to state 2, from where silence leads to state 1.
# With --silprobs the probability is each word's own (Chen et al. 2015, Pronunciation and silence probability modeling for
# ASR): words enter from state 1 without and from state 2 after silence, at costs that say how well each goes before the word.
use strict;
use warnings;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);
use File::Basename;
use lib dirname(__FILE__) . '/..';
use TextTable qw(is_number);

my $usage = "Usage: make_lexicon_fst.pl [--sil-prob P | --silprobs FILE] [--sil-phone PHONE [--sil-disambig SYMBOL]]\n"
  . "         [--unk-fst FILE] <lexicon> > <L.txt>\n"
  . "Lines of the lexicon are '<word> <probability> <phone> ...'. --sil-disambig: the symbol that tells silence apart.\n"
  . "--silprobs: silprob.txt, and lines of the lexicon have three more numbers after the first, the probability of silence\n"
  . "after the word, and the factors on the word's probability after silence and without. --unk-fst: a transducer in text\n"
  . "that stands for the phone #2.\n";
my ($sil_prob, $sil_phone, $sil_disambig, $silprobs, $unk_fst, $help) = (0, '', undef, undef, undef, 0);
GetOptions('sil-prob=f' => \$sil_prob, 'sil-phone=s' => \$sil_phone, 'sil-disambig=s' => \$sil_disambig,
  'silprobs=s' => \$silprobs, 'unk-fst=s' => \$unk_fst, 'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
@ARGV == 1 or die $usage;
$sil_prob >= 0 && $sil_prob < 1 or die "make_lexicon_fst.pl: --sil-prob must be in [0, 1), not $sil_prob\n";
($sil_prob == 0 && !defined $silprobs) || $sil_phone ne ''
  or die "make_lexicon_fst.pl: --sil-prob and --silprobs need --sil-phone\n";

my ($start, $next_state) = (0, 1);
if (defined $silprobs) { write_silence_of_words(); }
else { write_uniform_silence(); }

sub write_uniform_silence {
  my ($loop, $silence) = ($start, undef);
  my @returns = ([$loop, 0]);    # where a word may end, at which cost
  if ($sil_prob > 0) {
    ($loop, $silence, $next_state) = (1, 2, 3);
    @returns = ([$loop, -log(1 - $sil_prob)], [$silence, -log($sil_prob)]);
    arc($start, $_->[0], '<eps>', '<eps>', $_->[1]) for @returns;
    if (defined $sil_disambig) {
      my $after = $next_state++;
      arc($silence, $after, $sil_phone, '<eps>', 0);
      arc($after, $loop, $sil_disambig, '<eps>', 0);
    } else {
      arc($silence, $loop, $sil_phone, '<eps>', 0);
    }
  }
  for my $entry (read_lexicon(1)) {
    my ($word, $phones, $probability) = @$entry;
    my ($state, $output, $cost) = ($loop, $word, -log($probability));
    my $last_phone = pop @$phones;
    for my $phone (@$phones) {
      my $next = $next_state++;
      arc($state, $next, $phone, $output, $cost);
      ($state, $output, $cost) = ($next, '<eps>', 0);
    }
    arc($state, $_->[0], $last_phone, $output, $cost + $_->[1]) for @returns;
  }
  print "$loop\t0\n";
}

# The symbol that tells silence apart stands where there is none, which needs no state of its own.
sub write_silence_of_words {
  my ($no_silence, $silence) = (1, 2);
  $next_state = 3;
  my $of = read_silprobs();
  my $end_word = sub {
    my ($state, $silence_probability) = @_;
    arc($state, $no_silence, $sil_disambig // '<eps>', '<eps>', -log(1 - $silence_probability)) if $silence_probability < 1;
    arc($state, $silence, $sil_phone, '<eps>', -log($silence_probability));
  };
  $end_word->($start, $of->{'<s>'});
  for my $entry (read_lexicon(4)) {
    my ($word, $phones, $probability, $silence_after, $after_silence, $after_no_silence) = @$entry;
    my $state = $next_state++;
    my $first_phone = shift @$phones;
    arc($no_silence, $state, $first_phone, $word, -log($probability) - log($after_no_silence));
    arc($silence, $state, $first_phone, $word, -log($probability) - log($after_silence));
    for my $phone (@$phones) {
      my $next = $next_state++;
      arc($state, $next, $phone, '<eps>', 0);
      $state = $next;
    }
    $end_word->($state, $silence_after);
  }
  printf("%d\t%.9g\n", $silence, -log($of->{'</s>_s'}) || 0);
  printf("%d\t%.9g\n", $no_silence, -log($of->{'</s>_n'}) || 0);
}

# Returns a list of [word, [phone, ...], number, ...].
sub read_lexicon {
  my ($count) = @_;
  my @entries;
  my ($name) = @ARGV;
  open(my $lexicon, '<', $name) or die "make_lexicon_fst.pl: cannot open $name: $!\n";
  while (<$lexicon>) {
    my ($word, @fields) = split;
    my @numbers = splice(@fields, 0, $count);
    @numbers == $count && !grep { !is_positive($_) } @numbers
      or die "make_lexicon_fst.pl: $name line $.: expected '<word> " . ('<number> ' x $count) . "<phone> ...', found: $_";
    $word ne '<eps>' or die "make_lexicon_fst.pl: $name line $.: <eps> cannot be a word\n";
    @fields = ('<eps>') unless @fields;
    push @entries, [$word, \@fields, @numbers];
  }
  close($lexicon);
  return @entries;
}

# Reads the probability of silence at the beginning, <s>, and the factors on the end after silence and without, </s>_s and
# </s>_n. The overall probability of silence is not used.
sub read_silprobs {
  my %of;
  open(my $file, '<', $silprobs) or die "make_lexicon_fst.pl: cannot open $silprobs: $!\n";
  while (<$file>) {
    my ($name, $value, @rest) = split;
    defined $value && !@rest && is_positive($value)
      or die "make_lexicon_fst.pl: $silprobs line $.: expected '<name> <number>', found: $_";
    $of{$name} = $value;
  }
  close($file);
  defined $of{$_} or die "make_lexicon_fst.pl: $silprobs has no line for $_\n" for '<s>', '</s>_s', '</s>_n';
  return \%of;
}

sub is_positive {
  my ($value) = @_;
  return is_number($value) && $value > 0;
}

sub arc {
  my ($from, $to, $input, $output, $cost) = @_;
  return insert_unk_fst($from, $to) if defined $unk_fst && $input eq '#2';
  printf("%d\t%d\t%s\t%s\t%.9g\n", $from, $to, $input, $output, $cost || 0);
}

# The phone language model of unknown words between two states, without its output.
sub insert_unk_fst {
  my ($from, $to) = @_;
  my %state;
  my $state = sub { return $state{$_[0]} //= $next_state++; };
  open(my $file, '<', $unk_fst) or die "make_lexicon_fst.pl: cannot open $unk_fst: $!\n";
  while (<$file>) {
    my @fields = split;
    @fields != 0 && @fields != 3 && @fields <= 5
      or die "make_lexicon_fst.pl: $unk_fst line $.: no arc '<state> <state> <phone> <output> [<cost>]' or final state: $_";
    printf("%d\t%d\t<eps>\t<eps>\t0\n", $from, $state->($fields[0])) if $. == 1;
    if (@fields <= 2) {
      printf("%d\t%d\t<eps>\t<eps>\t%s\n", $state->($fields[0]), $to, $fields[1] // 0);
    } else {
      printf("%d\t%d\t%s\t<eps>\t%s\n", $state->($fields[0]), $state->($fields[1]), $fields[2], $fields[4] // 0);
    }
  }
  close($file);
}
