"""The FSDP configuration that ships is what the installed accelerate reads, key by key."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import yaml
from accelerate import FullyShardedDataParallelPlugin
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType
from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy
from accelerate.utils.launch import prepare_multi_gpu_env
from patlm.training.trainer.model import Base, with_adapter
from planted_episodes import word_llama, word_tokenizer

CONFIG = Path(__file__).parents[3] / "examples" / "fsdp" / "accelerate.yaml"


def launched() -> argparse.Namespace:
    """Return what `accelerate launch --config_file` makes of it."""
    asked = ["--config_file", str(CONFIG), "-m", "patlm.cli.main", "train"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(asked))
    return arguments


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> FullyShardedDataParallelPlugin:
    """What a process that was launched with it finds in its environment."""
    for name, value in prepare_multi_gpu_env(launched()).items():
        if name.startswith("FSDP_"):
            monkeypatch.setenv(name, value)
    return FullyShardedDataParallelPlugin()


def test_accelerate_reads_it_as_fsdp() -> None:
    found = load_config_from_file(str(CONFIG))
    assert isinstance(found, ClusterConfig)
    assert found.distributed_type == DistributedType.FSDP
    assert found.mixed_precision == "no", "a bare no is False in YAML"
    arguments = launched()
    assert arguments.use_fsdp and arguments.num_processes == 2 and not arguments.use_cpu


def test_the_launcher_knows_every_key() -> None:
    # accelerate itself refuses unknown keys at the top, and passes over those below.
    flags = vars(launch_command_parser().parse_args(["script.py"]))
    keys = yaml.safe_load(CONFIG.read_text())["fsdp_config"]
    assert keys and not [key for key in keys if key not in flags]


def test_what_arrives_in_a_process(plugin: FullyShardedDataParallelPlugin) -> None:
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert not plugin.cpu_ram_efficient_loading, "each process tells the model by its weights"
    assert not plugin.activation_checkpointing
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"


def test_each_layer_of_a_model_with_an_adapter_is_a_unit(
    plugin: FullyShardedDataParallelPlugin,
) -> None:
    model = with_adapter(Base(word_llama(), word_tokenizer(), "0" * 16, "words"), None, seed=0)
    plugin.set_auto_wrap_policy(model)
    policy = fsdp2_prepare_auto_wrap_policy(plugin, model)
    assert policy is not None
    units = [name for name, module in model.named_modules() if policy(module)]
    assert units == [f"base_model.model.model.layers.{layer}" for layer in range(3)]
