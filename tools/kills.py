"""Kill processes at random moments, and count what survives.

    python tools/kills.py                       # 500 kills in all, as in docs/results/trust.md
    python tools/kills.py --kind forget --times 20 --seed 3

Ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "support"))
# For the process that the workers are forks of, too.
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
os.environ["LANGSMITH_TRACING"] = "false"

TIMES = {
    "ingest": 70,
    "index": 40,
    "compaction": 40,
    "forget": 40,
    "promotion": 190,
    "collection": 110,
    "training": 10,
}


def main() -> int:
    """Kill, print a line a kind, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=TIMES, action="append")
    parser.add_argument("--times", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    from killing import kill

    failed = 0
    for kind in given.kind or TIMES:
        times, began = given.times or TIMES[kind], time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PATLM_COPIES"] = str(Path(folder) / "copies.jsonl")
            survived, lost = kill(kind, Path(folder), times, given.seed)
        seconds = time.monotonic() - began
        print(f"{kind:>12}: {survived} of {times} survived, {seconds:.0f} s", flush=True)
        for says in lost:
            print(f"{'':>12}  {says}", flush=True)
        failed += times - survived
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
