"""Text marks on single pictures: found by PP-OCR (extra ``text``), chosen by words or place, masked by strokes.

:mod:`model.text.reading` finds and reads lines, :mod:`model.text.wanted` chooses the lines of the mark,
:mod:`model.text.strokes` draws their mask, and :mod:`model.text.files` does all of it for a file.
"""
