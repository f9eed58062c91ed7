"""ApiError: a refusal, as the HTTP API words it."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal with its HTTP status; `str(error)` goes out as the field `error` of the answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def bad_body(reason: str) -> ApiError:
    return ApiError(f"bad request body: {reason}", 400)


def missing_field(what: str) -> ApiError:
    return ApiError(f"missing required field: {what}", 400)
