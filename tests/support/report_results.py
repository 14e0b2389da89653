"""A made-up `results.json` and `examples.json`, as `patlm bench personalization` writes them."""

import json
from pathlib import Path
from typing import Any

# Arm, kind, quality, gain, its reach (half an interval), words, share of the style pool in common.
_ROWS: list[tuple[str, str, float, float, float, float, float | None]] = [
    ("no_context", "main", 0.148, 0.0, 0.0, 44.1, None),
    ("own_history", "main", 0.151, 0.003, 0.012, 40.2, None),
    ("neighbours_raw", "main", 0.139, -0.009, 0.011, 52.8, None),
    ("style_only", "main", 0.155, 0.007, 0.009, 39.7, None),
    ("style_own", "main", 0.153, 0.005, 0.010, 38.4, None),
    ("preference_only", "main", 0.163, 0.015, 0.010, 42.0, None),
    ("both", "main", 0.167, 0.019, 0.011, 41.2, 1.0),
    ("both_2", "main", 0.166, 0.018, 0.012, 41.9, 1.0),
    ("extractive", "main", 0.171, 0.023, 0.012, 37.5, 1.0),
    ("merged", "main", 0.158, 0.010, 0.012, 45.0, 1.0),
    ("best_of_n", "main", 0.150, 0.002, 0.008, 43.3, None),
    ("random_users", "control", 0.161, 0.013, 0.012, 41.5, 0.02),
    ("anti_users", "control", 0.152, 0.004, 0.013, 36.0, 0.00),
    ("random_style", "control", 0.165, 0.017, 0.011, 41.0, 0.03),
    ("anti_style", "control", 0.158, 0.010, 0.012, 35.1, 0.01),
    ("random_preference", "control", 0.164, 0.016, 0.011, 41.7, 1.0),
    ("anti_preference", "control", 0.160, 0.012, 0.012, 42.2, 1.0),
    ("random_topic", "control", 0.146, -0.002, 0.011, 44.4, 1.0),
    ("constant", "control", 0.149, 0.001, 0.009, 40.8, None),
    ("oracle_style", "control", 0.181, 0.033, 0.013, 43.0, 0.10),
    ("copy_best", "floor", 0.150, 0.002, 0.015, 28.0, None),
    ("copy_typical", "floor", 0.176, 0.028, 0.014, 33.5, None),
    ("echo_request", "floor", 0.041, -0.107, 0.020, 5.2, None),
]
SIDES = ("style", "preference")


def figure(mean: float, reach: float) -> dict[str, Any]:
    return {"mean": round(mean, 4), "ci95": [round(mean - reach, 4), round(mean + reach, 4)]}


def row(at: int, task: str = "long", history: str = "all") -> dict[str, Any]:
    """Return one arm; less known makes gains smaller."""
    name, kind, quality, gain, reach, words, shared = _ROWS[at]
    gain *= {"0": 0.4, "1": 0.7}.get(history, 1.0)
    metric = "agreement" if task == "rating" else "quality"
    if task == "rating":
        metrics: dict[str, Any] = {
            "mae": figure(1.1 - quality, 0.2),
            "rmse": figure(1.4 - quality, 0.2),
            "agreement": figure(0.72 + gain, 0.03),
            "unparsable": figure(0.02, 0.02),
        }
    else:
        metrics = {
            "rouge1": figure(quality + 0.021, 0.017),
            "rougeL": figure(quality - 0.028, 0.013),
            "meteor_es": figure(quality + 0.007, 0.016),
            "quality": figure(quality, 0.016),
            "style_cos": figure(0.41 + gain, 0.03),
            "topic_cos": figure(0.52 + gain, 0.03),
        }
    found = {
        "data": "gap", "task": task, "history": history, "arm": name, "kind": kind,
        "n": 60, "seeds": 1, "topics": 14, "largest_topic": 0.31, "failed": 0,
        "metrics": metrics,
        "gain": None,
        "by_history": [
            {"bucket": "0", "n": 40, "gain": figure(gain * 0.8, reach * 1.2)},
            {"bucket": "1", "n": 12, "gain": figure(gain * 1.1, reach * 2.0)},
            {"bucket": "2+", "n": 8, "gain": figure(gain * 1.4, reach * 2.4)},
        ],
        "copy_rate": 0.12, "length": words, "exact": 0.0,
    }  # fmt: skip
    if name != "no_context":
        found["gain"] = {
            "against": "no_context",
            "metric": metric,
            **figure(gain, reach),
            "holm": figure(gain, reach * 1.45)["ci95"],
            "ci95_by_topic": figure(gain, 0.017)["ci95"],
            "least_difference": 0.021,
        }
    else:
        found["by_history"] = [{"bucket": "0", "n": 40, "gain": None}]
    if kind != "floor":
        found |= {
            "cut_share": 0.35, "calls": 3.0, "leaks": {"runs": 0, "shared_runs": 1},
            "pool_size": {"style": 2300, "preference": 210},
            "overlap_with_aligned": {
                "style": shared,
                "preference": 0.61 if name == "random_preference" else 0.11,
            },
        }  # fmt: skip
    return found


def verdict(side: str, said: str, means: tuple[float, ...], **also: Any) -> dict[str, Any]:
    what = ("aligned - random", "random - anti", "aligned - constant", "aligned - no_context")
    return {
        "data": "gap", "task": "long", "history": "all", "side": side, "verdict": said,
        "tests": [
            {"what": name, "arms": ["both", "x"], "mean": mean, "n": 60, "least_difference": 0.021,
             "holm": figure(mean, 0.009)["ci95"]}
            for name, mean in zip(what, means, strict=False)
        ],
        "below_no_context": {
            "random": {**figure(0.013, 0.011), "below": False},
            "anti": {**figure(0.004, 0.013), "below": None},
        },
        "missing": [],
        **also,
    }  # fmt: skip


def results() -> dict[str, Any]:
    """Return one case with every kind of arm; each verdict is another one."""
    rows = [row(at) for at in range(len(_ROWS))]
    return {
        "settings": {
            "data": ["gap"], "tasks": ["long"], "arms": [each["arm"] for each in rows],
            "adapters": {}, "split": "report", "history": ["all"], "least_own": 0,
            "inductive": False, "cleaning": [], "limit": 60, "seeds": [0], "k": 4,
            "against": "no_context", "model": "SmolLM2-135M-Instruct", "dtype": "bfloat16",
            "judge": None,
            "budgets": {"prompt": 300, "request": 110, "summary": 48,
                        "draft": {"long": 100, "short": 24}},
            "versions": {"patlm": "0.1.0", "torch": "2.13.0"},
            "files": {"gap": {"name": "gap_dev.json",
                              "sha1": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}},
            "started": "2026-11-25T21:00:00", "seconds": 3120.5,
        },
        "arms": [each for each in rows if each["kind"] != "floor"],
        "floors": [each for each in rows if each["kind"] == "floor"],
        "verdicts": [
            verdict("both", "holds", (0.012, 0.010, 0.018, 0.019)),
            verdict("style", "does not hold", (0.0005, 0.007, 0.018, -0.019),
                    adds_to_the_other={"over": "preference_only", **figure(0.004, 0.008)}),
            verdict("preference", "inconclusive", (0.003, 0.004), missing=["constant"]),
        ],
        "curves": {},
    }  # fmt: skip


def several_histories() -> dict[str, Any]:
    """Return the same with 0, 1 and all own texts known, a rating task, and training curves."""
    found = results()
    for task, history in (("long", "0"), ("long", "1"), ("rating", "all")):
        rows = [row(at, task, history) for at in range(len(_ROWS))]
        found["arms"] += [each for each in rows if each["kind"] != "floor"]
        found["floors"] += [each for each in rows if each["kind"] == "floor"]
    steps = list(range(0, 120, 10))
    found["curves"] = {
        "style@3": {
            "steps": steps,
            "reward": [round(0.15 + 0.002 * at**0.7, 4) for at in steps],
            "length": [44 - 0.05 * at for at in steps],
            "copy_rate": [0.12 for _ in steps],
        }
    }
    found["settings"]["adapters"] = {"style": "style@3"}
    return found


def examples(wrap: str = "{}") -> dict[str, Any]:
    """Return three examples; every text is put into `wrap`."""
    bodies = [
        "We came on a wet Tuesday and the harbour was empty. The soup was hot, the bread was not.",
        "Honest little place. Would come again, if only for the view from the top of the stairs!",
        "it was ok i guess. waited long. the fish tho :)",
    ]

    def piece(at: int, strategy: str) -> dict[str, Any]:
        return {
            "text_id": f"t{at}", "user_id": wrap.format(f"user{at}"),
            "topic_id": wrap.format("harbour-inn"), "title": wrap.format("By the sea"),
            "body": wrap.format(bodies[at % 3]), "score": 0.71 - at / 10,
            "strategy": wrap.format(strategy), "reason": wrap.format("writes like the user"),
        }  # fmt: skip

    def written(arm: str) -> dict[str, Any]:
        silent = arm == "no_context"
        return {
            "arm": arm,
            "draft": wrap.format(f"{bodies[1]} {bodies[0]}"),
            "metrics": {"quality": 0.172},
            "summaries": {
                "style": None if silent else wrap.format("Short sentences. Dry. Full stops."),
                "preference": None if silent else wrap.format("Likes the view; the soup is hot."),
            },
            "evidence": {side: [] if silent else [piece(at, side) for at in (0, 1)]
                         for side in SIDES},
            "own": [] if silent else [piece(2, "own")],
        }  # fmt: skip

    return {
        "examples": [
            {
                "id": f"{at:04x}", "data": "gap", "task": "long", "history": "all",
                "cold_start": wrap.format("cold"),
                "request": {"title": wrap.format(f"The inn at the harbour {at}"), "text": None,
                            "instruction": wrap.format("Write a review."), "rating": 4.0},
                "real": wrap.format(bodies[at % 3]),
                "arms": [written(arm) for arm in ("no_context", "both", "random_users")],
            }
            for at in range(3)
        ]
    }  # fmt: skip


def write(folder: Path, results: dict[str, Any], examples: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results))
    if examples is not None:
        (folder / "examples.json").write_text(json.dumps(examples))
    return folder


HOSTILE = (
    "<script>window.hacked=1</script><img src=x onerror=window.hacked=2></details></svg></style>"
    '"\'><a href="javascript:window.hacked=3">x</a>{{ 7 * 7 }} &lt;b&gt; $x$'
)
"""What somebody may have written."""

_WORDS_OF_OURS = ("kind",)
"""Keys whose value decides what is drawn."""


def hostile(value: Any) -> Any:
    """Return results or examples with every text of theirs followed by hostile markup."""
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, list):
        return [hostile(each) for each in value]
    if isinstance(value, dict):
        return {
            key: each if key in _WORDS_OF_OURS else hostile(each) for key, each in value.items()
        }
    return value
