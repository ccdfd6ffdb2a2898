"""Marks that a whole catalogue shares: estimated from the pictures, then un-blended from each of them.

Two ways in: ``estimate.estimate`` makes a :class:`~model.watermark.template.Template` from samples, and
``files.clean`` (or ``remove.prepare`` and ``remove.finish`` on arrays) takes the mark off a picture. No torch is needed
but for the fill that the caller brings. docs/marks.md has the figures.
"""
