"""The keys of a job's files, which follow from ids, so that a repeat overwrites itself.

All are below the job's own folder, which goes with the job.
"""

from __future__ import annotations


def result_key(tenant_id: str, job_id: str, image_id: str, extension: str) -> str:
    """The key of an image's result; ``extension`` with its dot."""
    return f"t/{tenant_id}/jobs/{job_id}/results/{image_id}{extension}"


def preview_key(tenant_id: str, job_id: str, image_id: str) -> str:
    """The key of an image's preview, before and after."""
    return f"t/{tenant_id}/jobs/{job_id}/previews/{image_id}.webp"


def learned_key(tenant_id: str, job_id: str, mask: str) -> str:
    """The key of what a job's pictures told of the mark under a mask; ``mask``: a digest of it and of its place."""
    return f"t/{tenant_id}/jobs/{job_id}/learned/{mask}.template"
