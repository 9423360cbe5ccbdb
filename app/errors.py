"""Every error that a caller can meet, and the one table from error to HTTP status.

FocusPatrolError
├── BadInput          400  a request, file or option cannot be read
│   ├── Invalid       422  it can be read, but its values make no sense
│   ├── TooLarge      413  more than one call may carry
│   └── WrongMedia    415  a media type or encoding that is not understood
├── NoKey             401  no key, or one that is unknown or revoked
├── WrongScope        403  a key that may not do this
├── NotFound          404  no such thing
├── Conflict          409  somebody else was faster
├── TooBusy           429  more than is taken at once; come back
└── DatabaseAway      503  the database is away, locked or full; nothing was stored
"""


class FocusPatrolError(Exception):
    """The base of all; `str(error)` says what is wrong and what to do."""

    retry_after_s: int | None = None

    def __init__(self, message: str, **members: object) -> None:
        """`members` are added to the problem document."""
        super().__init__(message)
        self.members = members


class BadInput(FocusPatrolError):
    """A request, file or option that cannot be read."""


class Invalid(BadInput):
    """Readable input whose values make no sense."""


class TooLarge(BadInput):
    """More than one call may carry."""


class WrongMedia(BadInput):
    """A media type or content encoding that is not understood."""


class NoKey(FocusPatrolError):
    """No key, or one that is unknown or revoked."""


class WrongScope(FocusPatrolError):
    """A key that may not do this."""


class NotFound(FocusPatrolError):
    """No such thing."""


class Conflict(FocusPatrolError):
    """Somebody else changed it first."""


class TooBusy(FocusPatrolError):
    """More than is taken at once."""

    retry_after_s = 1


class DatabaseAway(FocusPatrolError):
    """The database is away, locked or full; nothing was stored."""

    retry_after_s = 5


STATUS: dict[type[FocusPatrolError], int] = {
    BadInput: 400,
    NoKey: 401,
    WrongScope: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    WrongMedia: 415,
    Invalid: 422,
    TooBusy: 429,
    DatabaseAway: 503,
}


def status_of(error: FocusPatrolError) -> int:
    """The HTTP status of an error: its own, or that of its nearest ancestor in the table."""
    ancestors: tuple[type, ...] = type(error).__mro__
    return next(STATUS[kind] for kind in ancestors if kind in STATUS)
