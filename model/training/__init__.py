"""Training: seeded masks, batches that are a function of the step, and the trainer. ``python -m model.training --help``."""
