"""Lines of text in a picture, by PP-OCR's detector and recogniser from the wheel ``rapidocr`` (Apache-2.0).

The wheel contains the networks: nothing is downloaded. One reader serves a process; it reads one picture at a time, on
a bounded number of CPU threads and at a bounded size. Importing this needs neither onnxruntime nor rapidocr.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.errors import TextReaderMissing
from model.text.installed import missing

if TYPE_CHECKING:
    from rapidocr import RapidOCR

Pixels = NDArray[np.uint8]
#: Longest side of the searched picture in px: half the time of 1600 for the same recall (bench/text_marks.py).
DETECTED_AT = 1280
#: Largest factor by which small pictures are enlarged: the detector finds fine print better.
_ENLARGED = 2.0
#: Least side of a searched picture, in px.
_LEAST_SIDE = 16
#: Most threads: more bring little, and the network needs cores too.
MOST_THREADS = 4
#: The detector's least mean probability of a line. Marks are fainter than print on paper.
_LEAST_SURE = 0.4


@dataclass(frozen=True, eq=False)
class Line:
    """A line of text: its corners (``float32 [4, 2]``, x and y in px, clockwise from the text's upper left)."""

    corners: NDArray[np.float32]
    #: The text; empty for a line that was found but not read.
    text: str = ""
    #: Confidence of the reading, 0 to 1.
    confidence: float = 0.0

    @property
    def centre(self) -> tuple[float, float]:
        """x and y, in px."""
        x, y = self.corners.mean(axis=0)
        return float(x), float(y)

    @property
    def height(self) -> float:
        """Across its direction, in px."""
        a, b, c, d = self.corners
        sides = (np.hypot(*(b - a)) + np.hypot(*(d - c))) / 2, (np.hypot(*(d - a)) + np.hypot(*(c - b))) / 2
        return max(4.0, float(min(sides)))

    def box(self, margin: float, size: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns around it, within a picture of ``size`` (height, width); empty where it lies outside."""
        left, top = np.floor(self.corners.min(axis=0) - margin).astype(int)
        right, bottom = np.ceil(self.corners.max(axis=0) + margin).astype(int) + 1
        return slice(max(int(top), 0), min(int(bottom), size[0])), slice(max(int(left), 0), min(int(right), size[1]))


class TextReader:
    """Finds and reads text. Any thread may use it; its networks are loaded at the first picture.

    ``threads`` 0: as many as the process may use, up to ``MOST_THREADS``. Raises, from both methods:
        TextReaderMissing: the extra ``text`` is not installed.
    """

    def __init__(self, threads: int = 0) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = min(threads or cores, cores, MOST_THREADS)
        self._lock = threading.Lock()
        self._networks: RapidOCR | None = None

    def find(self, pixels: Pixels) -> list[Line]:
        """The unread lines of text in ``pixels`` (``uint8 [H, W, 3]``, sRGB), from top to bottom."""
        if min(pixels.shape[:2]) < _LEAST_SIDE:
            return []
        factor = min(DETECTED_AT / max(pixels.shape[:2]), _ENLARGED)
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        resized = cv2.resize(_bgr(pixels), None, fx=factor, fy=factor, interpolation=how)
        with self._lock:
            detection = self._loaded()(resized, use_det=True, use_cls=False, use_rec=False)
        corners = getattr(detection, "boxes", None)
        return [] if corners is None else [Line(np.asarray(one, np.float32) / np.float32(factor)) for one in corners]

    def read(self, pixels: Pixels, lines: list[Line]) -> list[Line]:
        """The same lines with their text."""
        if not lines:
            return []
        with self._lock:
            networks = self._loaded()
            crops = networks.crop_text_regions(_bgr(pixels), np.stack([line.corners for line in lines]))
            # The classifier first detects upside-down lines, because marks have any angle.
            turned, _ = networks.cls_and_rotate(crops)
            recognition = networks.recognize_txt(turned)
        return [
            Line(line.corners, text, float(confidence))
            for line, text, confidence in zip(lines, recognition.txts or (), recognition.scores or (), strict=True)
        ]

    def _loaded(self) -> RapidOCR:
        if self._networks is None:
            if missing():
                raise TextReaderMissing(missing())
            import rapidocr

            models = Path(rapidocr.__file__).parent / "models"
            said: dict[str, Any] = {
                "Global.log_level": "error",
                # This class decides the sizes.
                "Global.max_side_len": 1 << 20,
                "Global.min_side_len": 1,
                "Det.limit_type": "max",
                "Det.limit_side_len": 1 << 20,
                "Det.box_thresh": _LEAST_SURE,
                # Named, so that rapidocr searches nowhere else.
                "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
                "Cls.model_path": str(models / "ch_ppocr_mobile_v2.0_cls_mobile.onnx"),
                "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
                "EngineConfig.onnxruntime.intra_op_num_threads": self._threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
            self._networks = rapidocr.RapidOCR(params=said)
        return self._networks


def _bgr(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[..., ::-1])
