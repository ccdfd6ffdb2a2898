"""Weights of other projects, read as data. ``reading`` is the entry point."""
