"""SEGAN, the speech enhancement GAN of Pascual, Bonafonte and Serrà (Interspeech 2017), in TensorFlow 2."""
