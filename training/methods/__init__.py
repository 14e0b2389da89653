"""Training methods: each module of this folder defines one as its `METHOD`.

To add a method, add a module. Its inputs are in `trainer.method.Inputs`; commands, defaults and
errors are derived from the entries. The command line imports these modules, so they import TRL and
the data only inside functions.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ..trainer.method import Method

METHODS: dict[str, Method] = {
    module.name: import_module(f"{__name__}.{module.name}").METHOD
    for module in iter_modules(__path__)
}
"""Every method by name."""
