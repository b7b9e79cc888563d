"""Features of a pretrained speech encoder: Whisper's, through CTranslate2."""
