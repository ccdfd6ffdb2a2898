"""Ids as the documentation shows them, the same in requests, answers and examples."""

DELIVERY_ID = "evt_019aab5d3044711ea0c1b2d3e4f5a697"
IMAGE_ID = "img_019aab5d10447d3fa0c1b2d3e4f5a697"
JOB_ID = "job_019aab5d10437c2e8f6b5a4d3c2b1a09"
MASK_ID = "upl_019aab5c2f6f7c21a4b1d0e9f8a7c652"
TEMPLATE_ID = "tpl_019aab5e40717a6d8c9b0a1f2e3d4c5b"
UPLOAD_ID = "upl_019aab5c2f6e7b3e9d2a8c4f1e0b7d63"
WEBHOOK_ID = "whe_019aab5b00127a10b1c2d3e4f5061728"
