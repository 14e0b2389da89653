"""What can go wrong in `models`, and what each error means for the caller.

- `ModelError` is the base: catch it to catch all of them.
- `ModelNotFound`, `ModelUnusable`: the model itself; nothing changes by asking again. Install,
  or name another model.
- `CallRefused`: this call can't be answered as it was asked (prompt too long, unknown option,
  adapter not installed); other calls are not touched. Change the call.
- `AdapterRefused`: of these, the adapter: missing, damaged, or not made for this model.
- `GenerationFailed`: the batch that held this call broke; the same call may work again.
- `WorkerDied`: the thread that generates ended; the next call starts a new one.
- `RemoteFailed`: a server gave no answer, and was asked several times; ask again later.
- `ModelBusy`: too many calls wait, or a server asks to be left alone; ask again later.
- `ModelClosed`: the model was closed; open it again.

Messages say what was expected, what came and what to do next.
"""

from __future__ import annotations


class ModelError(RuntimeError):
    """Base of all errors of this package.

    A RuntimeError, because LangGraph's server tells its clients the messages of built-in kinds of
    error only.
    """


class ModelNotFound(ModelError):
    """A model, package or name that is not there."""


class ModelUnusable(ModelError):
    """A model that is there but can't be loaded or converted."""


class CallRefused(ModelError):
    """A call that can't be answered as it was asked; never worth a retry."""


class AdapterRefused(CallRefused):
    """A call whose adapter can't be used; without it, or with `adapter_fallback`, it may work."""


class GenerationFailed(ModelError):
    """The batch that held this call raised; the cause is chained."""


class WorkerDied(GenerationFailed):
    """The generating thread ended while this call ran or waited."""


class RemoteFailed(GenerationFailed):
    """A server gave no whole answer in any attempt: no connection, silence, a fault of its own."""


class ModelBusy(ModelError):
    """More calls wait than the queue takes, or a server has too much to do or rests."""


class ModelClosed(ModelError):
    """The model was closed before this call was answered."""
