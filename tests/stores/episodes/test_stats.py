"""What `patlm episodes stats` and `check` say of episodes, counted by hand."""

import json
from pathlib import Path

import pytest
from episode_fixtures import FOUR, GROUP, RUN, candidate, collected, extractive, served
from patlm.stores.episodes.redaction import forget_episodes
from patlm.stores.episodes.schema import Episode, Feedback, Sample, SamplingSettings
from patlm.stores.episodes.shards import EpisodeWriter, read_episodes
from patlm.stores.episodes.stats import check_episodes, count_episodes, faults_of, no_variance


def test_what_a_collected_episode_holds_is_counted() -> None:
    counts = count_episodes([collected(*FOUR)]).as_dict()
    assert {k: counts[k] for k in ("episodes", "samples", "groups", "trainable")} == {
        "episodes": 1, "samples": 8, "groups": 1, "trainable": 2,
    }  # fmt: skip
    # What failed is no inexact answer, nor is what was made without a model.
    assert {k: counts[k] for k in ("failed", "inexact", "zero_variance")} == {
        "failed": 1, "inexact": 0, "zero_variance": 0,
    }  # fmt: skip
    assert {role: found["samples"] for role, found in counts["by_role"].items()} == {
        "integrate": 2, "preference": 1, "style": 5,
    }  # fmt: skip
    # (.5 + .25) / 2; each less .2; the one without a model apart.
    assert counts["by_role"]["style"]["rewards"] == {
        "1": {"candidates": 3, "reward": 0.375, "differential": 0.175, "extractive": 0.75}
    }
    assert counts["by_role"]["preference"]["groups"] == 0


@pytest.mark.parametrize(
    ("candidates", "silent"),
    [
        ((candidate(0, 0.5),), True),
        ((candidate(0, 0.5), candidate(1, 0.5)), True),
        ((candidate(0, 0.5), candidate(1, None)), True),
        ((candidate(0, 0.5), extractive(0.9)), True),
        ((candidate(0, 0.5), candidate(1, 0.6)), False),
    ],
)
def test_a_group_teaches_where_two_answers_of_the_model_differ(
    candidates: tuple[Sample, ...], silent: bool
) -> None:
    assert no_variance(candidates) is silent


def test_a_model_without_tokens_is_inexact() -> None:
    remote = {"prompt_token_ids": None, "token_ids": None}
    samples = (served("style", "style-reason", **remote), served("integrate", "integrate"))
    counts = count_episodes([collected(samples=samples, groups=())]).as_dict()
    assert (counts["samples"], counts["inexact"]) == (2, 1)
    assert counts["by_role"]["style"]["inexact"] == 1


def test_what_people_said_last_counts() -> None:
    said = [
        Feedback(run_id=RUN, accepted=False, rating=2),
        Feedback(run_id=RUN, edited="Better so."),
        Feedback(run_id=RUN, accepted=True, rating=5),
    ]
    counts = count_episodes([collected(feedback=said), collected(), collected(error="E: down")])
    found = counts.as_dict()
    assert found["feedback"] == {"accepted": 1, "rejected": 0, "edited": 1, "rating": 5}
    assert (found["episodes"], found["failed_runs"], found["redacted"]) == (3, 1, 0)


def faults(episode: Episode) -> list[str]:
    return list(faults_of(episode))


def test_a_sound_episode_has_no_fault() -> None:
    assert faults(collected(*FOUR)) == []


@pytest.mark.parametrize(
    ("candidates", "says"),
    [
        ([candidate(0, 0.5, logprobs=(-1.0,))], "sample style-reason@1#0: 1 logprobs for 2 tokens"),
        ([candidate(0, 0.5), candidate(0, 0.1)], "sample style-reason@1#0: the id occurs 2 times"),
        ([candidate(0, 0.0, error="E: down")], "it failed and has a reward"),
        (
            [candidate(0, 0.5, sampling=SamplingSettings(temperature=1, top_p=0.9, max_tokens=9))],
            "it is marked trainable",
        ),
        ([candidate(0, 0.5), candidate(1, 0.1, group="g")], "its group g is missing"),
        ([candidate(1, 0.5)], "it replays style-reason@1#0"),
        ([served("style", "x", id="style-reason@1#0")], f"group {GROUP}: it has no candidates"),
    ],
)
def test_what_does_not_fit_is_told(candidates: list[Sample], says: str) -> None:
    (found,) = faults(collected(*candidates))
    assert says in found


def test_check_tells_file_and_line(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, "episodes")
    for run_id in ("a", "b", "a"):
        writer.append(collected(*FOUR, run_id=run_id))
    shard = tmp_path / "episodes-20250301.jsonl"
    with shard.open("a") as file:
        file.write(json.dumps({"version": 7}) + "\n{\n")
    feedback = tmp_path / "feedback-20250301.jsonl"
    feedback.write_text('{"run_id": "a", "rating": 0}\n')
    read: list[Episode] = []
    found = [
        (each.path, each.line, each.reason)
        for each in check_episodes(tmp_path, on_episode=read.append)
    ]
    assert [(path, line) for path, line, _ in found] == [
        (shard, 3), (shard, 4), (shard, 5), (feedback, 1),
    ]  # fmt: skip
    assert "duplicate of episodes-20250301.jsonl:1" in found[0][2]
    assert "expected a record of version 1 or 2, got 7" in found[1][2]
    assert "rating" in found[3][2]
    assert [episode.run_id for episode in read] == ["a", "b", "a"]


def test_an_emptied_episode_is_sound_and_counted(tmp_path: Path) -> None:
    EpisodeWriter(tmp_path).append(collected(*FOUR))
    assert forget_episodes(tmp_path, "default", "ana") == 1
    assert list(check_episodes(tmp_path)) == []
    counts = count_episodes(read_episodes(tmp_path)).as_dict()
    assert (counts["episodes"], counts["redacted"], counts["samples"]) == (1, 1, 0)
