"""Episodes as a table of samples that other tools read."""

import json
from collections import Counter
from pathlib import Path

from datasets import Dataset, load_from_disk
from episode_fixtures import FOUR, GROUP, RUN, collected
from patlm.stores.episodes.schema import Feedback
from patlm.training.data.export import ExportRefused, export_samples
from pyarrow import parquet
from raising import raises

SAID = (Feedback(run_id=RUN, accepted=True), Feedback(run_id=RUN, edited="So.", rating=4))


def test_each_sample_is_a_row(tmp_path: Path) -> None:
    file = tmp_path / "out" / "samples.parquet"
    assert export_samples([collected(*FOUR, feedback=SAID)], file) == 8
    rows = parquet.read_table(file).to_pylist()
    row = next(row for row in rows if row["sample"] == "style-reason@1#0")
    assert row["prompt"][1] == {"role": "user", "content": "How?"}
    assert row["completion"] == [{"role": "assistant", "content": "Summary 0."}]
    assert (row["token_ids"], row["logprobs"], row["exact"]) == ([3, 4], [-0.5, -1.0], True)
    assert (row["group"], row["reward"], row["without_value"]) == (GROUP, 0.5, 0.2)
    assert json.loads(row["rewards"]) == {"quality": 0.5, "copying": None}
    assert json.loads(row["held"]) == {"preference": "They like the view."}
    assert json.loads(row["sampling"])["temperature"] == 0.7
    assert (row["user_id"], row["real"], row["split"]) == ("ana", "What ana really wrote.", "abc")
    assert (row["accepted"], row["edited"], row["rating"]) == (True, "So.", 4)
    failed = next(row for row in rows if row["error"] is not None)
    assert (failed["completion"], failed["reward"], failed["rewards"]) == ([], None, None)


def test_a_folder_is_a_dataset_and_one_role_can_be_had(tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    redacted = collected(run_id="gone", samples=(), groups=())
    skipped: Counter[str] = Counter()
    episodes = [collected(*FOUR), redacted]
    assert export_samples(episodes, folder, role="integrate", skipped=skipped) == 2
    assert skipped == {"no_samples": 1}
    dataset = load_from_disk(str(folder))
    assert isinstance(dataset, Dataset) and set(dataset["role"]) == {"integrate"}
    assert dataset[1]["replays"] == "style-reason@1#0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samples"]


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    with raises(ExportRefused, "already_exists", tmp_path):
        export_samples([collected(*FOUR)], tmp_path)
    file = tmp_path / "none.parquet"
    with raises(ExportRefused, "no_samples", "other"):
        export_samples([collected(*FOUR)], file, role="other")
    assert not file.exists()
