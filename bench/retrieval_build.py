"""Fill a store with a corpus in a process of its own, whose peak memory is then the build's.

python -m patlm.bench.retrieval_build FOLDER URI STYLE_VERSION STYLE_DIMENSION TOPIC_VERSION \
TOPIC_DIMENSION
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..stores.recorded_encoder import RecordedEncoder
from ..stores.records import Encoder
from ..stores.text_store import TextStore
from .corpus_files import CorpusFiles, timed

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Built:
    """What a build took.

    Attributes:
        build_s: Seconds of loading, indexes and compaction; without reading the corpus.
        load_s: Of these until the last text was kept.
        source_s: Seconds of reading the corpus.
        peak_mb: Most memory that the process held, in 2²⁰ bytes.
        texts: Kept.
    """

    build_s: float
    load_s: float
    source_s: float
    peak_mb: float
    texts: int


def build(files: CorpusFiles, uri: str, style: Encoder, topic: Encoder) -> Built:
    """Fill a store in a process of its own.

    Args:
        files: The corpus.
        uri: Where the store is made.
        style: The encoder whose vectors they are, or are like.
        topic: The same.

    Raises:
        RuntimeError: The process failed; holds the end of what it said.
    """
    command = [sys.executable, "-m", "patlm.bench.retrieval_build", str(files.folder), uri]
    for encoder in (style, topic):
        command += [encoder.version, str(encoder.dimension)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the build of {uri} failed: {done.stderr[-2_000:]}")
    return Built(**json.loads(done.stdout.splitlines()[-1]))


def peak_megabytes() -> float:
    """Return the most memory this process has held.

    What `getrusage` tells covers the parent too, from between fork and exec; where Linux says what
    the program alone has held, that counts.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


async def _fill(files: CorpusFiles, uri: str, style: Encoder, topic: Encoder) -> Built:
    began = time.perf_counter()
    waited: list[float] = []
    async with TextStore.open(uri, style_encoder=style, topic_encoder=topic) as store:
        added = await store.load(timed(files.batches(), waited.append))
        loaded = time.perf_counter()
        await store.compact(threshold=0)
    source = sum(waited)
    return Built(
        build_s=round(time.perf_counter() - began - source, 2),
        load_s=round(loaded - began - source, 2),
        source_s=round(source, 2),
        peak_mb=round(peak_megabytes(), 1),
        texts=added.added,
    )


def _main(arguments: Sequence[str]) -> None:
    folder, uri, style, style_dimension, topic, topic_dimension = arguments
    encoders = [
        RecordedEncoder(style, int(style_dimension)),
        RecordedEncoder(topic, int(topic_dimension)),
    ]
    files = CorpusFiles(Path(folder), *(encoder.dimension for encoder in encoders))
    built = asyncio.run(_fill(files, uri, *encoders))
    sys.stdout.write(json.dumps(asdict(built)) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
