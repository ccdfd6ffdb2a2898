"""The one error tree of ``storage``. Each error carries a stable ``code`` and a sentence a person can act on."""

from __future__ import annotations


class StorageError(Exception):
    """The root of all errors of ledger and blob store."""

    code = "storage_error"
    #: Whether the same call may succeed later, unchanged.
    transient = False


class NotFound(StorageError):
    """It does not exist, or belongs to another tenant: the answer is the same."""

    code = "not_found"

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"There is no {kind} {identifier!r}.")
        self.kind = kind
        self.identifier = identifier


class LedgerUnavailable(StorageError):
    """The database did not answer, lost the connection, or asks for a retry (lock timeout, deadlock)."""

    code = "ledger_unavailable"
    transient = True


class SchemaNewer(StorageError):
    """The ledger is at a revision that this version does not know."""

    code = "schema_newer"

    def __init__(self) -> None:
        super().__init__("A newer version has migrated the ledger: use that version to go to another revision.")


class LedgerNotEmpty(StorageError):
    """Another ledger is to be copied into one that is in use."""

    code = "ledger_not_empty"

    def __init__(self) -> None:
        super().__init__("The new ledger has tenants already: copy into an empty one.")


class UploadUnknown(StorageError):
    """A job names uploads that the tenant does not have, or that have expired."""

    code = "upload_unknown"

    def __init__(self, identifiers: list[str]) -> None:
        shown = ", ".join(identifiers[:5]) + (f" and {len(identifiers) - 5} more" if len(identifiers) > 5 else "")
        super().__init__(f"No such uploads: {shown}. Create them with POST /v1/uploads first.")
        self.identifiers = identifiers


class TemplateUnknown(StorageError):
    """A job names templates that the tenant does not have."""

    code = "template_unknown"

    def __init__(self, identifiers: list[str]) -> None:
        super().__init__(f"No such templates: {', '.join(identifiers[:5])}. GET /v1/templates lists yours.")
        self.identifiers = identifiers


class TemplateNotReady(StorageError):
    """A job names a template that is not made or not approved, or whose making failed."""

    code = "template_not_ready"

    def __init__(self, identifier: str, state: str) -> None:
        super().__init__(f"The template {identifier!r} is {state}: only templates that are ready can be used.")
        self.identifier = identifier


class TemplatesMixed(StorageError):
    """A mask names several templates, and one of them is of the kind ``mask``."""

    code = "templates_mixed"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"The template {identifier!r} is of the kind mask: name it alone.")
        self.identifier = identifier


class TemplateInUse(StorageError):
    """A template cannot be deleted while a job needs it."""

    code = "template_in_use"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"A job that has not ended uses the template {identifier!r}: cancel it, or wait for its end.")


class TemplateNotInReview(StorageError):
    """A template that does not wait for a decision cannot be approved or rejected."""

    code = "template_not_in_review"

    def __init__(self, identifier: str, state: str) -> None:
        super().__init__(
            f"The template {identifier!r} is {state}: only one that needs review can be approved or rejected."
        )


class JobNotInReview(StorageError):
    """A job that does not wait for a decision cannot be approved."""

    code = "job_not_in_review"

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"The job {job_id!r} is {state}: only one that needs review can be approved.")


class NothingToApprove(StorageError):
    """A job without a mark found in its pictures cannot be approved."""

    code = "template_missing"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"No mark was found for the job {job_id!r}: name templates for it, or cancel it.")


class BlobNotFound(StorageError):
    """The store has no blob under this key."""

    code = "blob_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"Nothing is stored under {key!r}.")
        self.key = key


class BlobTooLarge(StorageError):
    """The blob is larger than the caller allows."""

    code = "image_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The file is larger than the limit of {limit} bytes.")
        self.limit = limit


class PartsInvalid(StorageError):
    """Parts of an upload are missing, or an ETag is wrong."""

    code = "parts_invalid"

    def __init__(self) -> None:
        super().__init__("Not all parts were sent, or an ETag is not the one that the part's link answered with.")


class UploadInUse(StorageError):
    """An upload that a job uses cannot be deleted."""

    code = "upload_in_use"

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"A job uses the upload {upload_id!r}: it is deleted with the job.")


class InvalidKey(StorageError):
    """A key that leads out of the store, or that stores do not accept."""

    code = "invalid_key"


class BlobStoreUnavailable(StorageError):
    """The object store did not answer, or asks for a retry."""

    code = "blob_store_unavailable"
    transient = True


class StorageFull(StorageError):
    """No room is left on the disk of the ledger or the blobs, or in the quota of their owner."""

    code = "storage_full"
    transient = True


class BlobStoreFull(StorageFull, BlobStoreUnavailable):
    """The folder of the blobs has no room."""


class LedgerFull(StorageFull, LedgerUnavailable):
    """The ledger's database has no room."""


class BlobStoreRefused(StorageError):
    """The object store refuses: credentials, permissions, or a missing bucket."""

    code = "blob_store_refused"


class LinkInvalid(StorageError):
    """A signed link to the local blob store has expired, was altered, or is for another use."""

    code = "link_invalid"


class JobNotEnded(StorageError):
    """The job, or an image that is to be done again, has not ended."""

    code = "job_not_finished"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Images of {job_id} have not ended: ask again when they have.")


class NothingToRedo(StorageError):
    """No image can be done again."""

    code = "nothing_to_redo"


class JobCanceled(StorageError):
    """The call is not possible for a job that was canceled."""

    code = "job_canceled"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"The job {job_id!r} was canceled: submit its images as a new job.")


class PausedByOperator(StorageError):
    """A tenant cannot resume what the operator has paused."""

    code = "paused_by_operator"

    def __init__(self) -> None:
        super().__init__("The operator of the service has paused this. Ask them to resume it.")


class QuotaExceeded(StorageError):
    """A tenant asks for more than its quota."""

    code = "quota_exceeded"

    def __init__(self, sentence: str, retry_after_s: float | None) -> None:
        super().__init__(sentence)
        #: Seconds after which a retry may succeed; ``None``: this request never will.
        self.retry_after_s = retry_after_s


class SizeMissing(StorageError):
    """A tenant with a quota of bytes must announce the size of each upload."""

    code = "size_missing"


class IdempotencyKeyReused(StorageError):
    """The key was used before, with another request."""

    code = "idempotency_key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"The Idempotency-Key {key!r} was used for another request. Use a new key for a new request.")


class IdempotencyKeyBusy(StorageError):
    """Another transaction works on the same request."""

    code = "idempotency_key_busy"
    transient = True

    def __init__(self, key: str) -> None:
        super().__init__(f"The request with the Idempotency-Key {key!r} is still in progress. Repeat it shortly.")


class WebhookDisabled(StorageError):
    """The endpoint is disabled, so that nothing is posted to it."""

    code = "webhook_disabled"

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(f"The webhook {endpoint_id!r} is disabled: enable it first.")
