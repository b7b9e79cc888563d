#!/usr/bin/env bash
# AM_GAN: a speech recogniser for children's speech in noise, from recordings to a table of word error rates.
#
#   ./run.sh                                             the mini corpus, made on the spot
#   ./run.sh --corpus speechocean762 --corpus-dir DIR    real children
#   ./run.sh --stage 9 --stop-stage 9                    one stage again
set -euo pipefail
cd "$(dirname "$0")"

stage=            # first stage to run (default: where the last run stopped)
stop_stage=13     # last stage to run
corpus=mini       # a folder of egs/
corpus_dir=       # where the corpus lies, for those that are not made or downloaded
noise_dir=        # folders of noise recordings, with commas between them (default: the recipe's synthetic noises)
rir_dir=          # folders of impulse responses of rooms, likewise (default: no reverberation)
nj=$(env -u OMP_NUM_THREADS nproc) # parallel jobs, however many threads each may have
use_gpu=auto      # auto, true or false
train_threads=    # CPU threads of each training, which its job asks for (default: what this machine has)

corpora=$(cd egs && echo */corpus.conf | sed 's#/corpus.conf##g')
help_message="Usage: ./run.sh [options]
Trains and tests a speech recogniser for children's speech in noise; ends with a table of word error rates.
  --stage N          first stage to run (default: go on where the last run stopped; 0 begins anew)
  --stop-stage N     last stage to run (default 13)
  --corpus NAME      $corpora (default mini)
  --corpus-dir DIR   where the corpus lies
  --noise-dir DIR,.. folders of noise recordings (default: synthetic noises)
  --rir-dir DIR,..   folders of impulse responses of rooms (default: no reverberation)
  --nj N             parallel jobs (default: the number of cores)
  --use-gpu auto|true|false
  --train-threads N  CPU threads of a training (default: as this machine has); the same number gives the same networks on any
and every variable of egs/NAME/corpus.conf, e.g. --tri3b-leaves 2000, --encoder base or --lm-background english.
Stages: 0 data  1 lang  2 SEGAN records  3 SEGAN training  4 enhancement  5 features  6 mono  7 tri1  8 tri2b  9 tri3b
        10 fMLLR features  11 Li-GRU training  12 Li-GRU decoding  13 report"

fail() { echo "$0: $1" >&2; exit 1; }

command_line=$0$([ $# -eq 0 ] || printf ' %q' "$@")

for ((i = 1; i < $#; i++)); do
  next=$((i + 1))
  if [ "${!i}" = --corpus ]; then corpus=${!next}; fi
done
[ -r "egs/$corpus/corpus.conf" ] || fail "unknown corpus '$corpus', there are: $corpora"
# shellcheck source=egs/mini/corpus.conf
. "egs/$corpus/corpus.conf"
. utils/parse_options.sh
[ $# -eq 0 ] || fail "unexpected argument '$1' (see --help)"
# What the corpus' prepare.sh is to know of corpus.conf and of the options that changed it.
corpus_options=()
needs_english=false # the packages of English words
while IFS= read -r name; do
  corpus_options+=("--${name//_/-}" "${!name}")
  case $name=${!name} in *_lexicon=cmudict | lm_background=english | lm_words=[1-9]*) needs_english=true ;; esac
done < <(sed -n 's/^\([a-z0-9_]*\)=.*/\1/p' "egs/$corpus/corpus.conf")
case $decode_first_systems in clean | all) ;; *) fail "--decode-first-systems takes clean or all, not '$decode_first_systems'" ;; esac
for name in pron_probs speed_perturb; do
  case ${!name} in true | false) ;; *) fail "--${name//_/-} takes true or false, not '${!name}'" ;; esac
done
case $audio_archives in true | false | '') ;; *) fail "--audio-archives takes true or false, not '$audio_archives'" ;; esac
case $use_gpu in auto | true | false) ;; *) fail "--use-gpu takes auto, true or false, not '$use_gpu'" ;; esac
[[ $test_snrs =~ ^(-?[0-9]+(,-?[0-9]+)*)?$ ]] || fail "--test-snrs takes numbers with commas between, not '$test_snrs'"
case $lm_background in none | english) ;; *) fail "--lm-background takes none or english, not '$lm_background'" ;; esac
[[ $lm_words =~ ^[0-9]+$ ]] || fail "--lm-words takes a number of words, not '$lm_words'"
[[ $mono_utts =~ ^([1-9][0-9]*)?$ ]] || fail "--mono-utts takes a number of utterances, not '$mono_utts'"
[[ $encoder_epochs =~ ^[0-9]+$ && $encoder_layers =~ ^[1-9][0-9]*$ && $encoder_copies =~ ^[1-9][0-9]*$ ]] ||
  fail "--encoder-epochs, --encoder-layers and --encoder-copies take numbers"
for name in ${ligru_networks//,/ }; do
  case $name in
    ligru | ligru_segan) ;;
    ligru_encoder) [ -n "$encoder" ] || fail "--ligru-networks ligru_encoder needs an encoder (--encoder)" ;;
    *) fail "--ligru-networks takes ligru, ligru_segan and ligru_encoder, with commas between, not '$name'" ;;
  esac
done
[ "$lm_words" -eq 0 ] || [ "$lm_text$lm_arpa$lm_background" != none ] ||
  fail "--lm-words takes its words from --lm-text, --lm-arpa or --lm-background, and there is none"
for file in ${lm_text//,/ } ${lm_arpa//,/ }; do
  [ -s "$file" ] || fail "$file of --lm-text or --lm-arpa is missing or empty"
done
[[ $stage =~ ^[0-9]*$ && $stop_stage =~ ^[0-9]+$ && $nj =~ ^[1-9][0-9]*$ ]] || fail "--stage, --stop-stage and --nj take numbers"
[[ $train_threads =~ ^([1-9][0-9]*)?$ ]] || fail "--train-threads takes a number, not '$train_threads'"
[ -z "$stage" ] || { [ "$stage" -le "$stop_stage" ] && [ "$stage" -le 13 ]; } ||
  fail "--stage $stage --stop-stage $stop_stage runs nothing: the stages are 0 to 13"

. ./cmd.sh
requirements="requirements.txt"
# With auto a job uses the GPUs of the machine where it runs, which on a cluster is not this one.
if [ "$use_gpu" = true ] || { [ "$use_gpu" = auto ] &&
  { nvidia-smi >/dev/null 2>&1 || [[ $cuda_cmd =~ (queue|slurm)\.pl.*\ --gpu\ [1-9] ]]; }; }; then
  requirements="requirements-gpu.txt"
fi
packages=("$requirements" ${encoder:+requirements-encoder.txt})
if $needs_english; then packages+=(requirements-english.txt); fi
local/install_packages.sh "${packages[@]}"
. ./path.sh
# What is wrong with the encoder is said now, not hours later.
if [ -n "$encoder" ]; then python3 -m nnet.encoder.models "$encoder" > /dev/null || exit 1; fi
pretrained=$encoder
whisper_weight=1.0 # of its decoder; a trained one is to be believed more (docs/encoder.md)
if [ -n "$encoder" ] && [ "$encoder_epochs" -gt 0 ]; then
  encoder=exp/encoder
  whisper_weight=2.0
fi
for model in ${chain_model:+"$chain_model" ${encoder:+"${chain_model}_encoder"}}; do
  [ "$(python3 -m nnet.ligru.config conf/ligru.toml "$model" objective 2>/dev/null)" = lf-mmi ] ||
    fail "--chain-model $chain_model: conf/ligru.toml has no table $model with the objective lf-mmi"
done
# The embedded programs' numba cores are compiled here, or the first jobs would all compile them.
[ -n "${KALDI_ROOT:-}" ] || python3 -m kaldi.compile 2> /dev/null

# data/ and exp/ belong to one corpus; exp/.finished holds the last stage that was finished.
mkdir -p data exp
[ "$(cat exp/.corpus 2>/dev/null || echo "$corpus")" = "$corpus" ] ||
  fail "data/ and exp/ hold the corpus $(cat exp/.corpus): remove them, data-fmllr/ and data-encoder/, or run $corpus in another copy of the recipe"
finished=$(cat exp/.finished 2>/dev/null || echo -1)
[ -n "$stage" ] || stage=$((finished < 13 ? finished + 1 : 13))

conditions=("" _noisy _enhanced)
# The systems on the way to tri3b say little in noise, which they do not know.
first_conditions=("")
if [ "$decode_first_systems" = all ]; then first_conditions=("${conditions[@]}"); fi

networks=(ligru ligru_segan ${encoder:+ligru_encoder})
[ -z "$ligru_networks" ] || IFS=, read -ra networks <<< "$ligru_networks"
chain_networks=(${chain_model:+ligru_chain ${encoder:+ligru_chain_encoder}})

# training_set NETWORK: the training speech as it was spoken, or at three speeds (train_sp) where that is asked for; an encoder's features
# are of the former.
training_set() {
  if $speed_perturb && [[ $1 != *_encoder ]]; then echo train_sp; else echo train; fi
}
fmllr_train= # of the networks on fMLLR features, if there are any
for network in "${networks[@]}" ${chain_networks[@]+"${chain_networks[@]}"}; do
  [[ $network == *_encoder ]] || fmllr_train=$(training_set "$network")
done

# The corpus's dictionary, or one with more words. From tri3b on, the lexicon may know how likely pronunciations are, and silence around each word.
dict=data/local/dict
if [ "$lm_words" -gt 0 ]; then dict=data/local/dict_lm; fi
sat_lang=data/lang
if $pron_probs; then sat_lang=data/lang_prons; fi

# put TEXT FILE: whole or not at all, as a run may be killed at any time.
put() {
  echo "$1" > "$2.tmp"
  mv "$2.tmp" "$2"
}

# begin N NAME: whether stage N is to be run. Until it ends it counts as not finished, also when it is done again.
begin() {
  { [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ]; } || return 1
  [ "$1" -gt "$finished" ] || put $(($1 - 1)) exp/.finished
  echo "$0: stage $1 ($2), $(date +%H:%M:%S)" >&2
  stage_name=$2 stage_began=$SECONDS
  python3 local/watch_memory.py $$ > exp/.memory &
  memory_watch=$!
}
# end N: stage N is finished; exp/stages.tsv has the time, the command and the memory of each stage's last run.
end() {
  local largest='' together=''
  kill "$memory_watch" 2> /dev/null || true
  wait "$memory_watch" 2> /dev/null || true
  read -r largest together < exp/.memory || true
  [ "$1" -le "$finished" ] || finished=$1
  put "$finished" exp/.finished
  {
    printf 'stage\tname\tseconds\tcommand\tlargest_mib\ttogether_mib\n'
    {
      [ ! -f exp/stages.tsv ] || awk -F '\t' -v stage="$1" 'NR > 1 && $1 != stage' exp/stages.tsv
      printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$stage_name" $((SECONDS - stage_began)) "$command_line" "$largest" "$together"
    } | sort -n
  } > exp/stages.tsv.tmp
  mv exp/stages.tsv.tmp exp/stages.tsv
}

# test_sets CONDITION: the test sets of a condition: with all SNRs, and those of one SNR each that were asked for.
test_sets() {
  local snr
  echo "test$1"
  if [ -n "$1" ]; then
    for snr in ${test_snrs//,/ }; do echo "test$1_${snr}dB"; done
  fi
}
# evaluated CONDITION ...: the sets that are decoded.
evaluated() {
  local condition
  for condition; do echo "dev$condition"; done
  for condition; do test_sets "$condition"; done
}

# wait_for MESSAGE PROCESS ...: wait for all of them, and fail if any of them did.
wait_for() {
  local process message=$1 failed=false
  shift
  for process; do wait "$process" || failed=true; done
  if $failed; then fail "$message"; fi
}

# jobs DATA: how many jobs to split a data directory into: a speaker is never divided.
jobs() {
  local speakers
  speakers=$(wc -l < "$1/spk2utt")
  echo $((nj < speakers ? nj : speakers))
}

# decode SYSTEM PROGRAM CONDITION ...: decode and score dev, then test with the weights that dev chose.
decode() {
  local system=$1 program=$2 set lang=data/lang_test
  shift 2
  if [ "$system" = tri3b ]; then lang=${sat_lang}_test; fi
  [ -f "exp/$system/graph/HCLG.fst" ] && [ "exp/$system/graph/HCLG.fst" -nt "exp/$system/final.mdl" ] ||
    utils/mkgraph.sh "$lang" "exp/$system" "exp/$system/graph" > "exp/$system/mkgraph.log" 2>&1 ||
    fail "utils/mkgraph.sh failed, see exp/$system/mkgraph.log"
  for set in $(evaluated "$@"); do
    "$program" --nj "$(jobs "data/$set")" --cmd "$decode_cmd" --config conf/decode.conf --skip-scoring true \
      "exp/$system/graph" "data/$set" "exp/$system/decode_$set"
  done
  score "$system" "$gmm_lmwt" "" "$@"
}

# rescore SYSTEM LOWEST:HIGHEST CONDITION ...: the lattices of a system with the large language model, where there is one.
rescore() {
  local system=$1 weights=$2 set
  shift 2
  rm -rf "exp/$system"/decode_*_{large,whisper}
  [ -f data/lang_test_large/G.carpa ] || return 0
  for set in $(evaluated "$@"); do
    steps/lmrescore_const_arpa.sh --cmd "$decode_cmd" --skip-scoring true data/lang_test data/lang_test_large \
      "data/$set" "exp/$system/decode_$set" "exp/$system/decode_${set}_large"
  done
  score "$system" "$weights" _large "$@"
}

# rescore_by_whisper SYSTEM LOWEST:HIGHEST CONDITION ...: those lattices, or the first ones, with the decoder of the encoder's model.
rescore_by_whisper() {
  local system=$1 weights=$2 set source
  shift 2
  for set in $(evaluated "$@"); do
    source=exp/$system/decode_$set
    if [ -d "${source}_large" ]; then source+=_large; fi
    steps/whisper_rescore.sh --cmd "$decode_cmd" --skip-scoring true --weight "$whisper_weight" "$encoder" data/lang_test \
      "data/$set" "$source" "exp/$system/decode_${set}_whisper"
  done
  score "$system" "$weights" _whisper "$@"
}

# score SYSTEM LOWEST:HIGHEST SUFFIX CONDITION ...: dev over these language-model weights and all word insertion penalties,
# test with the best of them; the suffix is that of the decodings' names.
score() {
  local system=$1 weights=$2 suffix=$3 condition set
  shift 3
  for condition; do
    local/score.sh --cmd "$decode_cmd" --min-lmwt "${weights%:*}" --max-lmwt "${weights#*:}" \
      --word-ins-penalty "$word_ins_penalty" \
      "data/dev$condition" data/lang_test "exp/$system/decode_dev$condition$suffix"
    for set in $(test_sets "$condition"); do
      local/score.sh --cmd "$decode_cmd" --tuned-on "exp/$system/decode_dev$condition$suffix" \
        "data/$set" data/lang_test "exp/$system/decode_$set$suffix"
    done
  done
}

# noisy SET TARGET OPTION ...: the set's recordings with noise, as data/TARGET.
noisy() {
  local list=${1%_sp}.list # train_sp has the noises of train
  python3 local/add_noise.py --nj "$nj" --cmd "$train_cmd" ${rir_dir:+--rirs "data/local/rooms/$list" --rir-chance "$room_chance"} \
    --babble-data data/train --babble-chance "$babble_chance" ${speech_level:+--level="$speech_level"} \
    ${audio_archives:+--archives "$audio_archives"} "${@:3}" \
    "data/$1" "data/local/noise/$list" "data/$2"
}

# enhance SET TARGET: the set's recordings as SEGAN cleans them, as data/TARGET.
enhance() {
  local/enhance_data_dir.sh --nj "$nj" --cmd "$cuda_cmd" --use-gpu "$use_gpu" --threads "${train_threads:-0}" --archives "$audio_archives" \
    exp/segan "data/$1" "data/$2"
}

# mfcc SET: MFCC and CMVN.
mfcc() {
  steps/make_mfcc.sh --nj "$(jobs "data/$1")" --cmd "$train_cmd" "data/$1" exp/make_mfcc
  steps/compute_cmvn_stats.sh "data/$1" exp/make_mfcc
}

# fmllr SET TRANSFORMS: the set's features as tri3b uses them, as data-fmllr/SET.
fmllr() {
  steps/make_fmllr_feats.sh --nj "$(jobs "data/$1")" --cmd "$train_cmd" --transform-dir "$2" \
    "data-fmllr/$1" "data/$1" exp/tri3b exp/make_fmllr data-fmllr/ark
  steps/compute_cmvn_stats.sh "data-fmllr/$1" exp/make_fmllr data-fmllr/ark
}

if begin 0 data; then
  finished=-1 # nothing holds any more that was made of other data
  rm -rf exp/stages.tsv data/train_noisy[0-9]*
  "egs/$corpus/prepare.sh" --nj "$nj" --cmd "$train_cmd" ${corpus_dir:+--corpus-dir "$corpus_dir"} "${corpus_options[@]}" data
  local/prepare_noise.sh --nj "$nj" --cmd "$train_cmd" ${noise_dir:+--noise-dir "$noise_dir"} data/local/noise
  IFS=, read -ra rir_dirs <<< "$rir_dir"
  if [ -n "$rir_dir" ]; then python3 local/split_noise.py --rirs "${rir_dirs[@]}" data/local/rooms; fi
  for set in train dev test; do noisy "$set" "${set}_noisy"; done
  for snr in ${test_snrs//,/ }; do noisy test "test_noisy_${snr}dB" --snr="$snr"; done
  put "$corpus" exp/.corpus
  end 0
fi

if begin 1 lang; then
  rm -rf data/local/dict_lm
  if [ "$lm_words" -gt 0 ]; then
    python3 local/lm_vocabulary.py --text "$lm_text" --arpa "$lm_arpa" --background "$lm_background" \
      --words "$lm_words" data/local/dict/lexicon.txt data/local/lm_words.txt
    local/add_words.sh --guessed data/local/guessed.txt data/local/lm_words.txt data/local/dict $dict
  fi
  utils/prepare_lang.sh $dict "<UNK>" data/local/lang data/lang
  rm -rf data/lang_test_large
  if [ "$lm_text$lm_arpa$lm_background" = none ]; then
    lm=data/local/lm.arpa.gz
    python3 local/train_lm.py --order "$lm_order" data/train/text data/lang/words.txt $lm
  else
    lm=data/local/lm/small.arpa.gz
    local/prepare_lms.sh --order "$lm_order" --text "$lm_text" --arpa "$lm_arpa" --background "$lm_background" \
      --prune "$lm_prune" data data/lang data/local/lm
  fi
  utils/format_lm.sh data/lang $lm $dict/lexicon.txt data/lang_test
  if [ $lm = data/local/lm/small.arpa.gz ]; then
    utils/build_const_arpa_lm.sh data/local/lm/large.arpa.gz data/lang_test data/lang_test_large
  fi
  end 1
fi

train_segan() {
  local/train_segan.sh --cmd "$cuda_cmd" --model "$segan_model" --epochs "$segan_epochs" --use-gpu "$use_gpu" \
    --threads "${train_threads:-0}" "$@" --noise data/local/noise/train.list data/train data/dev data/dev_noisy exp/segan
}

if begin 2 "SEGAN records"; then
  train_segan --cmd "$train_cmd" --nj "$nj" --stage 0 --stop-stage 0
  end 2
fi

if begin 3 "SEGAN training"; then
  train_segan --stage 1
  end 3
fi

if begin 4 enhancement; then
  # All sets at a time: much of each job is the start of TensorFlow, on one core. Large sets are several jobs.
  enhancements=()
  for set in train dev test; do
    enhance "${set}_noisy" "${set}_enhanced" &
    enhancements+=($!)
  done
  wait_for "the enhancement failed, see data/*_enhanced/log" "${enhancements[@]}"
  for snr in ${test_snrs//,/ }; do enhance "test_noisy_${snr}dB" "test_enhanced_${snr}dB"; done
  for condition in noisy enhanced; do
    python3 -m nnet.segan.evaluate --nj "$nj" --cmd "$train_cmd" --test-set test --condition $condition \
      data/test "data/test_$condition" > exp/segan/audio.tmp
    mv exp/segan/audio.tmp "exp/segan/audio_$condition.tsv"
  done
  end 4
fi

if begin 5 features; then
  for set in "${conditions[@]/#/train}" $(evaluated "${conditions[@]}"); do mfcc "$set"; done
  end 5
fi

if begin 6 mono; then
  mono_data=data/train
  if [ -n "$mono_utts" ] && [ "$mono_utts" -lt "$(wc -l < data/train/utt2spk)" ]; then
    mono_data=data/train_mono
    utils/subset_data_dir.sh --shortest data/train "$mono_utts" $mono_data
  fi
  steps/train_mono.sh --boost-silence 1.25 --nj "$(jobs $mono_data)" --cmd "$train_cmd" --totgauss "$mono_gauss" \
    $mono_data data/lang exp/mono
  decode mono steps/decode.sh "${first_conditions[@]}"
  end 6
fi

if begin 7 tri1; then
  steps/align_si.sh --boost-silence 1.25 --nj "$(jobs data/train)" --cmd "$train_cmd" \
    data/train data/lang exp/mono exp/mono_ali_train
  steps/train_deltas.sh --boost-silence 1.25 --cmd "$train_cmd" "$tri1_leaves" "$tri1_gauss" \
    data/train data/lang exp/mono_ali_train exp/tri1
  decode tri1 steps/decode.sh "${first_conditions[@]}"
  end 7
fi

if begin 8 tri2b; then
  # Here and below the graphs of the training serve again: one archive a job, on whatever machine it was.
  steps/align_si.sh --nj "$(cat exp/tri1/num_jobs)" --cmd "$train_cmd" --use-graphs true \
    data/train data/lang exp/tri1 exp/tri1_ali_train
  steps/train_lda_mllt.sh --cmd "$train_cmd" --splice-opts "--left-context=3 --right-context=3" \
    "$tri2b_leaves" "$tri2b_gauss" data/train data/lang exp/tri1_ali_train exp/tri2b
  decode tri2b steps/decode.sh "${first_conditions[@]}"
  end 8
fi

if begin 9 tri3b; then
  steps/align_si.sh --nj "$(cat exp/tri2b/num_jobs)" --cmd "$train_cmd" --use-graphs true \
    data/train data/lang exp/tri2b exp/tri2b_ali_train
  if $pron_probs; then
    steps/get_prons.sh --cmd "$train_cmd" data/train data/lang exp/tri2b_ali_train
    utils/dict_dir_add_pronprobs.sh $dict exp/tri2b_ali_train/{pron,sil,pron_bigram}_counts_nowb.txt data/local/dict_prons
    utils/prepare_lang.sh --phone-symbol-table data/lang/phones.txt data/local/dict_prons "<UNK>" data/local/lang_prons "$sat_lang"
    # Words and their numbers are the same, so G is.
    rm -rf "${sat_lang}_test"
    cp -r "$sat_lang" "${sat_lang}_test"
    cp data/lang_test/G.fst "${sat_lang}_test/"
  fi
  steps/train_sat.sh --cmd "$train_cmd" "$tri3b_leaves" "$tri3b_gauss" data/train "$sat_lang" exp/tri2b_ali_train exp/tri3b
  decode tri3b steps/decode_fmllr.sh "${conditions[@]}"
  rescore tri3b "$gmm_lmwt" "${conditions[@]}"
  end 9
fi

# Every condition of a set has the same utterances, so the alignment of the clean one serves all; the fMLLR transforms
# are each condition's own.
if begin 10 "fMLLR features"; then
  align_train() {
    steps/align_fmllr.sh --nj "$(cat exp/tri3b/num_jobs)" --cmd "$train_cmd" --use-graphs true \
      "data/train$1" "$sat_lang" exp/tri3b "exp/tri3b_ali_train$1"
  }
  align_train ""
  steps/align_fmllr.sh --nj "$(jobs data/dev)" --cmd "$train_cmd" data/dev "$sat_lang" exp/tri3b exp/tri3b_ali_dev
  # A speaker at another speed is another speaker, with alignments of his own.
  if [ "$fmllr_train" = train_sp ]; then
    utils/data/perturb_data_dir_speed_3way.sh --nj "$nj" data/train data/train_sp
    noisy train_sp train_sp_noisy
    enhance train_sp_noisy train_sp_enhanced
    for condition in "${conditions[@]}"; do
      mfcc "train_sp$condition"
      steps/align_fmllr.sh --nj "$(jobs data/train_sp)" --cmd "$train_cmd" \
        "data/train_sp$condition" "$sat_lang" exp/tri3b "exp/tri3b_ali_train_sp$condition"
    done
  elif [ "$fmllr_train" = train ]; then
    for condition in noisy enhanced; do align_train "_$condition"; done
  fi
  # Lattice-free MMI takes lattices of all pronunciations of the transcripts, and a topology of its own.
  if [ -n "$chain_model" ]; then
    for set in $(for network in "${chain_networks[@]}"; do training_set "$network"; done | sort -u) dev; do
      steps/align_fmllr_lats.sh --nj "$(jobs "data/$set")" --cmd "$train_cmd" "data/$set" "$sat_lang" exp/tri3b "exp/tri3b_lats_$set"
    done
    rm -rf data/lang_chain
    cp -r "$sat_lang" data/lang_chain
    steps/nnet3/chain/gen_topo.py "$(<"$sat_lang/phones/nonsilence.csl")" "$(<"$sat_lang/phones/silence.csl")" > data/lang_chain/topo
  fi
  # join FEATURES SET CONDITION: the set's clean speech and that condition, and once for all features the alignments, and lattices where
  # they are needed.
  joined=()
  join() {
    local lattices=()
    if [[ " ${joined[*]-} " == *" $2_$3 "* ]]; then
      local/combine_conditions.sh "$1/$2" "$1/$2_$3" "$1/$2_clean_$3"
      return
    fi
    joined+=("$2_$3")
    if [ -n "$chain_model" ] && [ "$3" = noisy ]; then lattices=("exp/tri3b_lats_$2" "exp/tri3b_lats_$2_clean_noisy"); fi
    local/combine_conditions.sh "$1/$2" "$1/$2_$3" "exp/tri3b_ali_$2" "$1/$2_clean_$3" "exp/tri3b_ali_$2_clean_$3" \
      ${lattices[@]+"${lattices[@]}"}
  }
  if [ -n "$fmllr_train" ]; then
    for condition in "${conditions[@]}"; do fmllr "$fmllr_train$condition" "exp/tri3b_ali_$fmllr_train$condition"; done
    for set in $(evaluated "${conditions[@]}"); do fmllr "$set" "exp/tri3b/decode_$set"; done
    for condition in noisy enhanced; do
      for set in "$fmllr_train" dev; do join data-fmllr "$set" "$condition"; done
    done
  fi
  if [ -n "$encoder" ]; then
    if [ "$encoder" != "$pretrained" ]; then
      copies=data/train,data/train_noisy
      for ((copy = 2; copy <= encoder_copies; copy++)); do
        [ -f "data/train_noisy$copy/wav.scp" ] || noisy train "train_noisy$copy" --seed "$copy"
        copies+=,data/train_noisy$copy
      done
      OMP_NUM_THREADS=${train_threads:-$(nproc)} \
        steps/nnet/adapt_encoder.sh --cmd "$cuda_cmd" --use-gpu "$use_gpu" --layers "$encoder_layers" --epochs "$encoder_epochs" \
        "$pretrained" "$copies" data/dev,data/dev_noisy exp/tri3b_ali_train exp/tri3b_ali_dev "$encoder"
    fi
    for set in train train_noisy $(evaluated "${conditions[@]}"); do
      steps/make_encoder_feats.sh --nj "$(jobs "data/$set")" --cmd "$train_cmd" \
        "$encoder" "data/$set" "data-encoder/$set" exp/make_encoder
      steps/compute_cmvn_stats.sh "data-encoder/$set" exp/make_encoder data-encoder/ark
    done
    for set in train dev; do join data-encoder "$set" noisy; done
  fi
  end 10
fi

# streams NETWORK SET: the data directories of its features, with a comma between.
streams() {
  case $1 in
    *_encoder) echo "data-encoder/$2" ;;
    *) echo "data-fmllr/$2" ;;
  esac
}
# graph NETWORK: the directory of the graph that decodes it; chain models have trees of their own.
graph() {
  case $1 in
    ligru_chain*) echo "exp/$1/graph" ;;
    *) echo exp/tri3b/graph ;;
  esac
}

if begin 11 "Li-GRU training"; then
  train_ligru() {
    local network=$1 sets=clean_noisy model=$ligru_model train
    [ "$network" != ligru_segan ] || sets=clean_enhanced
    train=$(training_set "$network")_$sets
    # A trained encoder's features take another network, where there is a table for it.
    if [ "$network" = ligru_encoder ] && [ "$encoder_epochs" -gt 0 ] && grep -qxF "[${model}_encoder]" conf/ligru.toml; then
      model+=_encoder
    fi
    OMP_NUM_THREADS=${train_threads:-$((($(nproc) + 1) / 2))} \
      steps/nnet/train_ligru.sh --cmd "$cuda_cmd" --use-gpu "$use_gpu" --model "$model" --epochs "$ligru_epochs" \
      "$(streams "$network" "$train")" "$(streams "$network" "dev_$sets")" \
      "exp/tri3b_ali_$train" "exp/tri3b_ali_dev_$sets" "exp/$network"
  }
  # The tree of a chain model is of its frame rate.
  train_chain() {
    local network=$1 model=$chain_model${1#ligru_chain} train
    train=$(training_set "$network")
    steps/nnet3/chain/build_tree.sh --cmd "$train_cmd" --context-opts "--context-width=2 --central-position=1" \
      --frame-subsampling-factor "$(python3 -m nnet.ligru.config conf/ligru.toml "$model" subsampling)" \
      "$chain_leaves" "data/$train" data/lang_chain "exp/tri3b_ali_$train" "exp/${network}_tree"
    OMP_NUM_THREADS=${train_threads:-$((($(nproc) + 1) / 2))} \
      steps/nnet/train_ligru_chain.sh --cmd "$cuda_cmd" --use-gpu "$use_gpu" --model "$model" --epochs "$chain_epochs" \
      "$(streams "$network" "${train}_clean_noisy")" "$(streams "$network" dev_clean_noisy)" "exp/${network}_tree" \
      "exp/tri3b_lats_${train}_clean_noisy" exp/tri3b_lats_dev_clean_noisy "exp/$network"
  }
  # All at a time: on a CPU, where their products are small, a core for each does more than all cores for one.
  trainings=()
  for network in "${networks[@]}"; do
    train_ligru "$network" &
    trainings+=($!)
  done
  for network in ${chain_networks[@]+"${chain_networks[@]}"}; do
    train_chain "$network" &
    trainings+=($!)
  done
  wait_for "the training of a Li-GRU failed, see exp/ligru*/log" "${trainings[@]}"
  end 11
fi

if begin 12 "Li-GRU decoding"; then
  for network in ${chain_networks[@]+"${chain_networks[@]}"}; do
    utils/mkgraph.sh --self-loop-scale 1.0 "${sat_lang}_test" "exp/$network" "$(graph "$network")" > "exp/$network/mkgraph.log" 2>&1 ||
      fail "utils/mkgraph.sh failed, see exp/$network/mkgraph.log"
  done
  for network in "${networks[@]}" ${chain_networks[@]+"${chain_networks[@]}"}; do
    case $network in *_encoder) search=whisper ;; *) search=nnet ;; esac
    for set in $(evaluated "${conditions[@]}"); do
      steps/nnet/decode.sh --nj "$(jobs "data/$set")" --cmd "$decode_cmd" --config "conf/decode_$search.conf" --skip-scoring true \
        "$(graph "$network")" "$(streams "$network" "$set")" "exp/$network" "exp/$network/decode_$set"
    done
    score "$network" "$nnet_lmwt" "" "${conditions[@]}"
    rescore "$network" "$nnet_lmwt" "${conditions[@]}"
    case $network in *_encoder) rescore_by_whisper "$network" "$nnet_lmwt" "${conditions[@]}" ;; esac
  done
  end 12
fi

if begin 13 report; then
  local/collect_results.sh > exp/results.tsv.tmp
  mv exp/results.tsv.tmp exp/results.tsv
  python3 local/wer_statistics.py exp/results.tsv exp/wer
  python3 local/confidence_statistics.py --nj "$nj" exp/results.tsv exp/wer
  rm -rf exp/segan/examples
  python3 -m nnet.segan.examples --nj "$nj" --count 12 data/test_noisy data/test_enhanced data/test exp/segan/examples
  python3 local/report.py exp/results.tsv exp/report
  end 13
fi
