"""The errors of `models`, and what each means for the caller.

- `ModelError` is the base: catch it to catch all of them.
- `ModelNotFound`, `ModelUnusable`: the model itself; retrying does not help. Install
  or name another model.
- `MissingExtra`: a `ModelNotFound` whose packages come with an extra of patlm; it names the extra.
- `CallRefused`: this call can't be answered (prompt too long, unknown option, adapter not
  installed); other calls are not affected. Change the call.
- `AdapterRefused`: a `CallRefused` for the adapter: missing, damaged, or not made for this model.
- `GenerationFailed`: the batch of this call broke; the same call may work again.
- `WorkerDied`: the generating thread ended; the next call starts a new one.
- `RemoteFailed`: a server gave no answer in several attempts; try again later.
- `ModelBusy`: too many calls wait, or the server asks for a pause; try again later.
- `ModelClosed`: the model was closed; open it again.

Messages say what was expected, what came and what to do next. Each error has a `code` for programs
(docs/errors.md).
"""

from __future__ import annotations


class ModelError(RuntimeError):
    """Base of all errors of this package.

    A RuntimeError, because LangGraph's server passes on the messages of built-in error types only.
    `stores.errors.CodedError` is its like: models and stores do not import each other.

    Args:
        message: What was expected, what came, what to do.
        code: Where a class of errors has several reasons, the name of this one.

    Attributes:
        code: Stable name of the kind of error.
    """

    code: str = "model_error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class ModelNotFound(ModelError):
    """A model, package or name that does not exist here."""

    code = "model_not_found"


class MissingExtra(ModelNotFound):
    """Packages of an extra, such as `patlm[local]`, are not installed."""

    code = "missing_extra"


class UnknownModel(ModelNotFound, ValueError):
    """A name that is not one of a list; commands exit with 2 for it, as for a wrong option."""

    code = "unknown_model"


class ModelUnusable(ModelError):
    """A model that can't be loaded or converted."""

    code = "model_unusable"


class CallRefused(ModelError):
    """A call that can't be answered; never worth a retry."""

    code = "call_refused"


class AdapterRefused(CallRefused):
    """A call whose adapter can't be used; without it, or with `adapter_fallback`, it may work."""

    code = "adapter_refused"


class GenerationFailed(ModelError):
    """The batch that held this call raised; the cause is chained."""

    code = "generation_failed"


class WorkerDied(GenerationFailed):
    """The generating thread ended while this call ran or waited."""

    code = "worker_died"


class RemoteFailed(GenerationFailed):
    """A server gave no whole answer in any attempt: no connection, a timeout, a server error."""

    code = "remote_failed"


class ModelBusy(ModelError):
    """The queue is full, or the server is overloaded or paused."""

    code = "model_busy"


class ModelClosed(ModelError):
    """The model was closed before this call was answered."""

    code = "model_closed"
