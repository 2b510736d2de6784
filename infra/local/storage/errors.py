"""Errors of a request, with the status and the reason of the JSON API.

StorageError          the request is invalid
├── StorageNotFound   the bucket, object or upload does not exist
├── StorageConflict   the bucket exists, or is not empty
├── ConditionNotMet   a precondition does not hold
└── NotModified       the reader has this generation already
"""


class StorageError(Exception):
    """A refused request; its text is sent to the client."""

    status = 400
    reason = "invalid"


class StorageNotFound(StorageError):
    """The bucket, object or upload does not exist."""

    status, reason = 404, "notFound"


class StorageConflict(StorageError):
    """The bucket exists, or is not empty."""

    status, reason = 409, "conflict"


class ConditionNotMet(StorageError):
    """A precondition does not hold."""

    status, reason = 412, "conditionNotMet"


class NotModified(StorageError):
    """The reader has this generation already."""

    status, reason = 304, "notModified"
