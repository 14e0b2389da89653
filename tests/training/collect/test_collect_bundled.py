"""Collecting with the bundled weights: a few people of the sample corpus, every step in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from collecting import episodes
from patlm.evaluation.progress import Unwatched
from patlm.graph.settings import Settings
from patlm.stores.datasets.sample import sample_corpus
from patlm.stores.episodes.schema import Episode
from patlm.training.collect.plan import CollectPlan, CollectReport
from patlm.training.collect.run import run_collect
from patlm.training.collect.source import CollectRequest
from patlm.training.rewards.components import COMPONENTS
from patlm.training.rewards.replay import open_replay_reward

pytestmark = pytest.mark.bundled

PLAN = CollectPlan(candidates=2)
FP32 = Settings(dtype="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collected")


@pytest.fixture(scope="module")
def report(folder: Path) -> CollectReport:
    asked = CollectRequest(data=sample_corpus(), stores=folder / "stores", settings=FP32, limit=2)
    return run_collect(asked, PLAN, folder / "E", Unwatched())


@pytest.fixture(scope="module")
def kept(report: CollectReport, folder: Path) -> list[Episode]:
    return episodes(folder / "E")


def test_every_candidate_is_exact_and_rewarded(report: CollectReport, kept: list[Episode]) -> None:
    assert (report.targets, report.episodes, report.failed) == (2, 2, 0)
    assert report.batch_fill is not None and 0 < report.batch_fill <= 1
    drawn = [s for e in kept for g in e.groups for s in e.candidates(g.id)]
    assert len(drawn) == 2 * 2 * 3
    for sample in drawn:
        assert sample.reward is not None and sample.differential is not None and sample.draft
        assert set(sample.rewards) == set(COMPONENTS)
        assert sample.exact == sample.trainable == (sample.model != "extractive")
        if sample.exact:
            assert len(sample.logprobs or ()) == len(sample.token_ids or ()) <= 48
    assert len({sample.text for sample in drawn}) > 8


def test_a_second_copy_of_the_model_gives_the_rewards_that_were_collected(
    kept: list[Episode], folder: Path
) -> None:
    (store,) = (folder / "stores").iterdir()
    with open_replay_reward(kept, FP32.model_copy(update={"store": str(store)})) as reward:
        samples = [s for e in kept for g in e.groups for s in e.candidates(g.id)]
        found = reward([s.text or "" for s in samples], group=[s.group or "" for s in samples])
    assert found == pytest.approx([s.reward for s in samples], abs=1e-3)
