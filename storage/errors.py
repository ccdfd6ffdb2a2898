"""The one error tree of ``storage``. Each error carries a stable ``code`` and a sentence a person can act on."""

from __future__ import annotations


class StorageError(Exception):
    """The root: anything that the ledger or the blob store refuses."""

    code = "storage_error"
    #: Whether the same call may succeed later without anybody changing anything.
    transient = False


class NotFound(StorageError):
    """No such thing, or it belongs to another tenant: the two are told apart nowhere."""

    code = "not_found"

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"There is no {kind} {identifier!r}.")
        self.kind = kind
        self.identifier = identifier


class LedgerUnavailable(StorageError):
    """The database did not answer, broke off, or asked to try again (a lock that took too long, a deadlock)."""

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
    """A job names uploads that do not exist for this tenant, or have expired."""

    code = "upload_unknown"

    def __init__(self, identifiers: list[str]) -> None:
        shown = ", ".join(identifiers[:5]) + (f" and {len(identifiers) - 5} more" if len(identifiers) > 5 else "")
        super().__init__(f"No such uploads: {shown}. Create them with POST /v1/uploads first.")
        self.identifiers = identifiers


class TemplateUnknown(StorageError):
    """A job names templates that do not exist for this tenant."""

    code = "template_unknown"

    def __init__(self, identifiers: list[str]) -> None:
        super().__init__(f"No such templates: {', '.join(identifiers[:5])}. GET /v1/templates lists those there are.")
        self.identifiers = identifiers


class TemplateNotReady(StorageError):
    """A template is named that is not made yet, not approved, or was not to be made."""

    code = "template_not_ready"

    def __init__(self, identifier: str, state: str) -> None:
        super().__init__(f"The template {identifier!r} is {state}: only templates that are ready can be used.")
        self.identifier = identifier


class TemplatesMixed(StorageError):
    """Several templates for one picture, of which one is a mask."""

    code = "templates_mixed"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"The template {identifier!r} is a mask's, which stands alone: name it without others.")
        self.identifier = identifier


class TemplateInUse(StorageError):
    """A template cannot be deleted while a job needs it."""

    code = "template_in_use"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"A job that has not ended uses the template {identifier!r}: cancel it, or wait for its end.")


class TemplateNotInReview(StorageError):
    """A template that nobody is to look at is approved or rejected."""

    code = "template_not_in_review"

    def __init__(self, identifier: str, state: str) -> None:
        super().__init__(f"The template {identifier!r} is {state}: only one that needs review is approved or rejected.")


class JobNotInReview(StorageError):
    """A job that does not wait for a mark is approved."""

    code = "job_not_in_review"

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"The job {job_id!r} is {state}: only one that needs review is approved.")


class NothingToApprove(StorageError):
    """A job is approved in whose pictures no mark was found."""

    code = "template_missing"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"No mark was found for the job {job_id!r}: name templates for it, or cancel it.")


class BlobNotFound(StorageError):
    """Nothing is stored under this key."""

    code = "blob_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"Nothing is stored under {key!r}.")
        self.key = key


class BlobTooLarge(StorageError):
    """More bytes than the caller allows."""

    code = "image_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The file is larger than the limit of {limit} bytes.")
        self.limit = limit


class PartsInvalid(StorageError):
    """Parts of an upload that were not sent, or are not those that were sent."""

    code = "parts_invalid"

    def __init__(self) -> None:
        super().__init__("Not all parts were sent, or an ETag is not the one that the part's link answered with.")


class UploadInUse(StorageError):
    """An upload that a job names cannot be dropped."""

    code = "upload_in_use"

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"A job uses the upload {upload_id!r}: it goes when the job is deleted.")


class InvalidKey(StorageError):
    """A key that could leave the store, or that no store accepts."""

    code = "invalid_key"


class BlobStoreUnavailable(StorageError):
    """The object store did not answer, or said to come back later."""

    code = "blob_store_unavailable"
    transient = True


class BlobStoreRefused(StorageError):
    """The object store answered, and refuses: credentials, permissions, or a bucket that is not there."""

    code = "blob_store_refused"


class LinkInvalid(StorageError):
    """A signed link to the local blob store that is expired, altered, or for another use."""

    code = "link_invalid"


class JobCanceled(StorageError):
    """What was asked of a job cannot be done, because it was canceled."""

    code = "job_canceled"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"The job {job_id!r} was canceled: submit its images as a new job.")


class PausedByOperator(StorageError):
    """A tenant cannot go on with what the service's operator has paused."""

    code = "paused_by_operator"

    def __init__(self) -> None:
        super().__init__("The operator of the service has paused this. Ask them to resume it.")


class QuotaExceeded(StorageError):
    """A tenant asks for more than its operator allows it."""

    code = "quota_exceeded"

    def __init__(self, sentence: str, retry_after_s: float | None) -> None:
        super().__init__(sentence)
        #: When asking again may help; ``None``: never, for this request.
        self.retry_after_s = retry_after_s


class SizeMissing(StorageError):
    """A tenant with a quota of bytes must announce the sizes of its uploads."""

    code = "size_missing"


class IdempotencyKeyReused(StorageError):
    """The key came before with another request."""

    code = "idempotency_key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"The Idempotency-Key {key!r} was used for another request. Use a new key for a new request.")


class IdempotencyKeyBusy(StorageError):
    """The same request is being worked on at this moment."""

    code = "idempotency_key_busy"
    transient = True

    def __init__(self, key: str) -> None:
        super().__init__(f"The request with the Idempotency-Key {key!r} is being worked on. Repeat it shortly.")


class WebhookDisabled(StorageError):
    """Nothing is posted to an endpoint that is disabled."""

    code = "webhook_disabled"

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(f"The webhook {endpoint_id!r} is disabled: enable it first.")
