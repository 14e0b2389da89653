"""The loop: `Personalizer` for apps, `make_graph` for `langgraph dev`, `build_graph` for others.

The public names stand in `__init__.pyi` and are resolved on first use (PEP 562): importing this
package loads nothing heavy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
