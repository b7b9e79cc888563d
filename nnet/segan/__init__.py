"""SEGAN, the speech enhancement GAN of Pascual, Bonafonte and Serrà (Interspeech 2017), in TensorFlow 2."""

import os

# TensorFlow reads these when it is imported. It greets with a dozen lines otherwise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Keras takes a quarter of the import and is not used; Keras 2, which is asked for here, is not installed and left out.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
