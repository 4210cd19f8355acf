"""Text and tasks, pre-training, fine-tuning, metrics."""
