"""Training: seeded masks, batches as a function of the step, the trainer. ``python -m model.training --help``."""
