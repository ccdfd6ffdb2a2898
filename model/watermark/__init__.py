"""Marks that a whole catalogue shares: estimated from the pictures, then un-blended from each of them.

Two ways in: ``estimate.estimate`` makes a :class:`~model.watermark.template.Template` from samples, and
``files.clean`` (or ``remove.prepare`` and ``remove.finish`` on arrays) removes the mark from a picture. Only the fill,
which the caller passes in, needs torch. docs/marks.md has the figures.
"""
