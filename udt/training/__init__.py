"""Training: passes, batches, early stopping, progress."""
