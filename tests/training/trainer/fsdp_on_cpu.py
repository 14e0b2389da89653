"""`patlm ...` as `accelerate launch` starts it with FSDP, on processes without a GPU.

accelerate shards the weights of processes that have a GPU each, and looks at nothing else of them.
Here it is told that processes on a CPU are such; all it then does (wrapping, gathering, gradients)
is its own and PyTorch's, over gloo.
"""

from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from patlm.cli.main import app


def shard_on_cpu() -> None:
    """Have accelerate take processes on a CPU for those of an FSDP run."""
    begin = AcceleratorState.__init__

    def begin_sharded(self: Any, *given: Any, fsdp_plugin: Any = None, **named: Any) -> None:
        begin(self, *given, fsdp_plugin=fsdp_plugin, **named)
        if fsdp_plugin is not None:
            self.fsdp_plugin = fsdp_plugin
            self.distributed_type = DistributedType.FSDP
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = begin_sharded  # type: ignore[method-assign]


if __name__ == "__main__":
    shard_on_cpu()
    app()
