"""Which module holds which program, so that starting one imports only what it needs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

_PROGRAMS = {
    "recordings": """compute-mfcc-feats compute-plp-feats compute-fbank-feats extract-segments extract-feature-segments
        wav-copy wav-to-duration wav-reverberate""",
    "features": """copy-feats feat-to-dim feat-to-len subset-feats subsample-feats select-feats paste-feats splice-feats
        add-deltas transform-feats compute-cmvn-stats apply-cmvn modify-cmvn-stats compare-feats""",
    "pitch": "compute-kaldi-pitch-feats process-kaldi-pitch-feats compute-and-process-kaldi-pitch-feats",
    "frames": "shift-feats concat-feats compute-vad select-voiced-frames",
    "tables": "copy-matrix copy-vector copy-int-vector compose-transforms",
    "transforms": "acc-lda est-lda gmm-acc-mllt est-mllt gmm-est-fmllr gmm-est-fmllr-gpost gmm-post-to-gpost",
    "vtln": "gmm-init-lvtln gmm-train-lvtln-special gmm-est-lvtln-trans",
    "scoring": "compute-wer compute-wer-bootci align-text",
    "gmm": """gmm-init-mono gmm-init-model gmm-info gmm-copy gmm-mixup gmm-est gmm-sum-accs gmm-boost-silence
        gmm-transform-means gmm-acc-stats gmm-acc-stats-ali gmm-acc-stats2 gmm-acc-stats-twofeats gmm-compute-likes
        gmm-ismooth-stats gmm-est-gaussians-ebw gmm-est-weights-ebw""",
    "discriminative": "lattice-boost-ali lattice-to-mpe-post lattice-to-smbr-post",
    "trees": "acc-tree-stats sum-tree-stats cluster-phones compile-questions build-tree tree-info",
    "alignments": """am-info hmm-info copy-transition-model convert-ali ali-to-pdf ali-to-phones ali-to-post
        weight-silence-post copy-post sum-post post-to-weights analyze-counts show-alignments
        compare-int-vector show-transitions""",
    "graphs": """compile-train-graphs compile-train-graphs-fsts compile-train-graphs-without-lexicon
        arpa2fst fsttablecompose fstdeterminizestar fstminimizeencoded fstpushspecial fstisstochastic
        fstcomposecontext make-h-transducer fstrmsymbols fstrmepslocal add-self-loops fstaddselfloops""",
    "openfst": """fstcompile fstprint fstarcsort fstconvert fstcompose fstproject fstrelabel fstreplace fstinfo
        fstinvert fstconnect fstdeterminize fstminimize fstrmepsilon fsttopsort fstrandgen fstcopy""",
    "align": "align-equal-compiled gmm-align-compiled align-compiled-mapped",
    "decode": "gmm-latgen-faster gmm-latgen-biglm-faster gmm-decode-faster latgen-faster-mapped",
    "chain": "chain-est-phone-lm chain-make-den-fst chain-get-supervision",
    "rescoring": """arpa-to-const-arpa lattice-lmrescore lattice-lmrescore-const-arpa lattice-lmrescore-pruned
        lattice-compose lattice-determinize""",
    "lattices": """gmm-rescore-lattice lattice-scale lattice-add-penalty lattice-best-path lattice-prune lattice-copy
        lattice-determinize-pruned lattice-to-post lattice-mbr-decode lattice-depth lattice-add-trans-probs
        lattice-depth-per-frame lattice-oracle lattice-push lattice-project lattice-to-fst lattice-expand-ngram""",
    "lattice_alignment": """lattice-align-words lattice-align-words-lexicon lattice-align-phones
        lattice-to-phone-lattice""",
    "lattice_pairs": "lattice-union lattice-interp lattice-combine",
    "nbest": """lattice-1best lattice-to-nbest linear-to-nbest nbest-to-lattice nbest-to-linear nbest-to-ctm
        nbest-to-prons lattice-to-ctm-conf""",
}
MODULE_OF = {name: module for module, names in _PROGRAMS.items() for name in names.split()}


def find(name: str) -> Callable:
    """The function of a program: `copy-feats` is `copy_feats` in its module."""
    return getattr(import_module(f"kaldi.programs.{MODULE_OF[name]}"), name.replace("-", "_"))
