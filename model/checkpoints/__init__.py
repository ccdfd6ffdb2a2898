"""Weights of other projects, read as data. ``reading`` is the way in."""
