"""Training: demo tasks, demo models and the conversion of transformers folders to GGUF."""
