# Sourced by the data directory utilities: the tables of a data directory, by what their lines are indexed with.
# shellcheck shell=bash disable=SC2034
#
# wav.scp is indexed by recording where there is a segments file, otherwise by utterance (recording = utterance).
utterance_tables="utt2spk text segments feats.scp vad.scp utt2dur utt2num_frames utt2lang utt2uniq utt2warp utt2snr utt2room"
speaker_tables="cmvn.scp spk2gender spk2age spk2warp"
recording_tables="wav.scp reco2dur reco2file_and_channel"
other_files="frame_shift frame_subsampling_factor encoder" # what the features are, the last two where an encoder made them
# Of these, what holds of the utterances and speakers whatever is done to the recordings.
descriptions="text utt2spk utt2lang utt2uniq utt2warp spk2gender spk2age spk2warp"

# require_utterances <data-dir>: one line and an exit if it has none.
require_utterances() {
  if [ ! -s "$1/utt2spk" ]; then
    echo "$0: $1/utt2spk is missing or empty" >&2
    exit 1
  fi
}

# jobs_of <data-dir> <jobs> <recordings>: a job for every so many recordings begun, but no more than these jobs. (A folder of
# recordings that is no data directory: these jobs.)
jobs_of() {
  local needed=$2
  if [ -f "$1/wav.scp" ]; then needed=$((($(wc -l <"$1/wav.scp") + $3 - 1) / $3)); fi
  echo $((needed < $2 ? needed : $2))
}

# require_two_directories <source> <destination>: one line and an exit if they are one, whose tables would be lost.
require_two_directories() {
  if [ "$1" -ef "$2" ]; then
    echo "$0: source and destination are both $1" >&2
    exit 1
  fi
}

# remove_tables <data-dir>: what an earlier run left there may be of other utterances. wav.scp goes first, without it a
# directory is not finished.
remove_tables() {
  local table
  for table in wav.scp spk2utt $utterance_tables $speaker_tables $recording_tables $other_files; do
    rm -f "$1/$table"
  done
}

# write_spk2utt <data-dir>: from its utt2spk; sorted, as all tables, also where the ids of utterances do not begin with the speaker's.
write_spk2utt() {
  utils/utt2spk_to_spk2utt.pl "$1/utt2spk" | sort -k 1,1 >"$1/spk2utt"
}

# keep_utterances <data-dir> <utterance-list> <dest-dir>: writes into <dest-dir> the lines of <data-dir>'s tables that belong
# to the listed utterances, to their speakers and to their recordings, and spk2utt.
keep_utterances() {
  local source=$1 list=$2 dest=$3 table
  for table in $utterance_tables; do
    if [ -f "$source/$table" ]; then
      utils/filter_scp.pl "$list" "$source/$table" >"$dest/$table"
    fi
  done
  write_spk2utt "$dest"
  for table in $speaker_tables; do
    if [ -f "$source/$table" ]; then
      utils/filter_scp.pl "$dest/spk2utt" "$source/$table" >"$dest/$table"
    fi
  done
  for table in $recording_tables; do
    if [ -f "$source/$table" ]; then
      utils/filter_scp.pl <(recordings_of "$dest") "$source/$table" >"$dest/$table"
    fi
  done
  for table in $other_files; do
    if [ -f "$source/$table" ]; then
      cp "$source/$table" "$dest/$table"
    fi
  done
}

# recordings_of <data-dir>: the recordings of its utterances, one a line.
recordings_of() {
  if [ -f "$1/segments" ]; then
    awk '{ print $2 }' "$1/segments" | sort -u
  else
    cut -d ' ' -f 1 "$1/utt2spk"
  fi
}
