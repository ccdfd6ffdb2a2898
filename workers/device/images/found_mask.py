"""The mask in place of the repaired picture (``result: mask``): what would be repaired, for a person to look at first.

The mask is a PNG of the picture's size, white where it marks. A picture in which no mark was found keeps its source.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cleanplate.base.image_records import ImageRecord
from model.imaging.picture import Document
from model.repair.hole import Mask
from model.watermark.sighting import look
from model.watermark.template import Template
from workers.device.images.outcomes import ResultFile
from workers.device.images.text_marks import source_as_result

#: Least opacity of a pixel that belongs to the mark, absolute and as a share of the mark's largest.
_LEAST, _LEAST_SHARE = 0.02, 0.1


def mask_result(mask: Mask, record: ImageRecord) -> ResultFile:
    """``mask`` (``uint8 [H, W]``, 255: mark) as a picture's result."""
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    height, width = mask.shape
    share = round(float(np.count_nonzero(mask)) / mask.size, 6)
    return ResultFile(
        data=file.getvalue(),
        content_type="image/png",
        extension=".png",
        width=int(width),
        height=int(height),
        record=record.with_fields(ImageRecord(format="PNG", written="mask", masked_share=share)),
    )


def marks_result(source: bytes, document: Document, templates: list[Template], ids: list[str]) -> ResultFile:
    """The marks of ``templates``, whose ids are ``ids``, in the first page of a picture, as its mask."""
    pixels = document.pages[0].views()[0].pixels
    found = [sighting for sighting in (look(pixels, template) for template in templates) if sighting is not None]
    if not found:
        return source_as_result(source, document.probe, reason="mark_not_found")
    covered: NDArray[np.bool_] = np.zeros(pixels.shape[:2], np.bool_)
    for sighting in found:
        covered[sighting.view] |= sighting.alpha > max(_LEAST, _LEAST_SHARE * float(sighting.alpha.max()))
    record = ImageRecord(
        marks=len(found), templates=ids, template=ids[0], certainty=[round(sighting.certainty, 3) for sighting in found]
    )
    return mask_result(np.where(covered, np.uint8(255), np.uint8(0)), record)
