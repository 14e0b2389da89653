"""Training methods: every module of this folder is one, and its `METHOD` says all about it.

To add a method, add a module. What it needs to know of a run is `trainer.method.Inputs`; commands,
defaults and errors are derived from the entries. Modules here are imported with the command line,
so they import TRL and the data only inside functions.
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
