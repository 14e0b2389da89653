"""What computes: encoders, chat models and the models that can be installed.

The public names stand in `__init__.pyi` and are resolved on first use (PEP 562): importing this
package loads nothing heavy.
"""

import lazy_loader

from .extras import names_extras

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = names_extras(__getattr__)
