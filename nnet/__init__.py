"""The two networks of the recipe: segan (TensorFlow, speech enhancement) and ligru (PyTorch, acoustic model)."""
