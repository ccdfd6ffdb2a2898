"""Prints the life cycles of images and jobs: ``python -m storage.ledger.lifecycle``."""

import sys

from storage.ledger.lifecycle.drawing import draw

sys.stdout.write(f"{draw()}\n")
