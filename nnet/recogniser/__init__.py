"""Recognition for applications: a packed model that is loaded once and stays, without a shell."""

from kaldi.base.log import KaldiError
from local.audio import AudioError
from local.model_folder import ModelError
from nnet.recogniser.alignment import TextError
from nnet.recogniser.recogniser import Recogniser, Speaker
from nnet.recogniser.result import Alternative, Phone, Piece, Transcription, Word

__all__ = [
    "Alternative",
    "AudioError",
    "KaldiError",
    "ModelError",
    "Phone",
    "Piece",
    "Recogniser",
    "Speaker",
    "TextError",
    "Transcription",
    "Word",
]
