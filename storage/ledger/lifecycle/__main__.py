"""Prints the life cycles of images, jobs and templates: ``python -m storage.ledger.lifecycle``."""

import sys

from storage.ledger.lifecycle.drawing import draw

sys.stdout.write(f"{draw()}\n")
