"""Everything that the SDK raises.

WeirError
├── ClientError                 used in a way that can't work; nothing was sent
│   └── InvalidValue            an argument can't be sent (also a ValueError)
├── CallError                   a call failed: code, reason, violations, request_id, help
│   ├── Cancelled
│   ├── Unknown
│   ├── InvalidArgument
│   │   └── FieldInvalid · SchemaMismatch · FilterInvalid · PageTokenInvalid
│   ├── DeadlineExceeded        (also a TimeoutError)
│   ├── NotFound
│   ├── AlreadyExists
│   │   └── NameTaken · RequestIdReused
│   ├── PermissionDenied
│   ├── ResourceExhausted
│   │   └── RateLimited · QuotaExceeded
│   ├── FailedPrecondition
│   │   └── StateConflict · InUse
│   ├── Aborted
│   │   └── EtagMismatch
│   ├── OutOfRange
│   │   └── PositionExpired
│   ├── Unimplemented
│   ├── Internal
│   ├── Unavailable
│   │   └── DependencyDown · Draining
│   ├── DataLoss
│   └── Unauthenticated
│       └── CredentialsMissing · CredentialsInvalid · TokenExpired · TokenRevoked
├── ResultTooLarge              more than is taken into memory: file_id, size, most
├── NotEnded                    a task still goes on when the wait is over (also a TimeoutError)
└── TaskEnded                   a task did not succeed: task_id, failure, log_tail
    ├── TaskCancelled
    └── TaskFailed
        ├── InvalidInput · HandlerFailed · RetriesUsedUp · DependencyFailed · SourceRateLimited
        └── TimedOut · LostWorker · OutOfResource · ProcessExit · GuardFailed · UpstreamFailed · WeirFault

A reason or kind that this version does not know gives the class above it, never a failure of its own.
"""

from weir.errors.calls import (
    Aborted,
    AlreadyExists,
    CallError,
    Cancelled,
    CredentialsInvalid,
    CredentialsMissing,
    DataLoss,
    DeadlineExceeded,
    DependencyDown,
    Draining,
    EtagMismatch,
    FailedPrecondition,
    FieldInvalid,
    FilterInvalid,
    Internal,
    InUse,
    InvalidArgument,
    NameTaken,
    NotFound,
    OutOfRange,
    PageTokenInvalid,
    PermissionDenied,
    PositionExpired,
    QuotaExceeded,
    RateLimited,
    RequestIdReused,
    ResourceExhausted,
    SchemaMismatch,
    StateConflict,
    TokenExpired,
    TokenRevoked,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
    Violation,
)
from weir.errors.roots import ClientError, InvalidValue, WeirError
from weir.errors.tasks import (
    DependencyFailed,
    GuardFailed,
    HandlerFailed,
    InvalidInput,
    LostWorker,
    NotEnded,
    OutOfResource,
    ProcessExit,
    ResultTooLarge,
    RetriesUsedUp,
    SourceRateLimited,
    TaskCancelled,
    TaskEnded,
    TaskFailed,
    TimedOut,
    UpstreamFailed,
    WeirFault,
)

__all__ = [
    "Aborted",
    "AlreadyExists",
    "CallError",
    "Cancelled",
    "ClientError",
    "CredentialsInvalid",
    "CredentialsMissing",
    "DataLoss",
    "DeadlineExceeded",
    "DependencyDown",
    "DependencyFailed",
    "Draining",
    "EtagMismatch",
    "FailedPrecondition",
    "FieldInvalid",
    "FilterInvalid",
    "GuardFailed",
    "HandlerFailed",
    "InUse",
    "Internal",
    "InvalidArgument",
    "InvalidInput",
    "InvalidValue",
    "LostWorker",
    "NameTaken",
    "NotEnded",
    "NotFound",
    "OutOfRange",
    "OutOfResource",
    "PageTokenInvalid",
    "PermissionDenied",
    "PositionExpired",
    "ProcessExit",
    "QuotaExceeded",
    "RateLimited",
    "RequestIdReused",
    "ResourceExhausted",
    "ResultTooLarge",
    "RetriesUsedUp",
    "SchemaMismatch",
    "SourceRateLimited",
    "StateConflict",
    "TaskCancelled",
    "TaskEnded",
    "TaskFailed",
    "TimedOut",
    "TokenExpired",
    "TokenRevoked",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "UpstreamFailed",
    "Violation",
    "WeirError",
    "WeirFault",
]

# Where the user finds them, also in a traceback.
for _name in __all__:
    globals()[_name].__module__ = __name__
