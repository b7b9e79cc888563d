#!/usr/bin/env perl
# Writes a SPHERE file of 16-bit samples in one channel, little-endian and not compressed, as WAV: what of sph2pipe
# Kaldi's recipe for CMU Kids calls. Usage: sph2pipe -f wav -p -c 1 <file.sph>
use strict;
use warnings;

"@ARGV[0 .. $#ARGV - 1]" eq '-f wav -p -c 1' or die "sph2pipe: only '-f wav -p -c 1 <file.sph>' is known, not '@ARGV'\n";
my $path = $ARGV[-1];
open(my $file, '<:raw', $path) or die "sph2pipe: $path: $!\n";
my $content = do { local $/; <$file> };
$content =~ /\ANIST_1A\n\s*(\d+)\n(.*?)^end_head\n/ms or die "sph2pipe: $path: not a SPHERE file\n";
my ($size, $header) = ($1, $2);
my %field = $header =~ /^(\w+) -\w+ (.*)$/mg;
"$field{channel_count} $field{sample_n_bytes} $field{sample_coding} $field{sample_byte_format}" eq '1 2 pcm 01'
  or die "sph2pipe: $path: not of 16-bit samples in one channel, little-endian and not compressed\n";
my ($rate, $samples) = ($field{sample_rate}, substr($content, $size, 2 * $field{sample_count}));
binmode(STDOUT);
print pack('A4 V A4 A4 V v v V V v v A4 V', 'RIFF', 36 + length($samples), 'WAVE', 'fmt ', 16, 1, 1, $rate, 2 * $rate, 2, 16,
  'data', length($samples)), $samples;
