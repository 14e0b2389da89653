"""Collecting from a model in this process: exact tokens, the policy's own, full batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from collecting import collected, episodes, some_targets, timeless
from loop_parts import ROLES, parts_of
from patlm.graph.open import chat_role
from patlm.models.local.chat_model import LocalChatModel
from patlm.models.telemetry import BatchReport, RoleWork
from patlm.nodes.budget import Budget
from patlm.nodes.dependencies import Parts
from patlm.training.collect.plan import BatchFill, CollectPlan
from tiny_models import tiny_chat

# A token is a byte here: prompts of the usual budget would hold nothing but their frame.
BUDGET = Budget(first=900, later=1100, summary=12, answer={"long": 16})
PLAN = CollectPlan(candidates=3)


@pytest.fixture
def model() -> Iterator[LocalChatModel]:
    chat = tiny_chat(window=2048)
    yield chat
    chat.close()


def parts_with(model: LocalChatModel) -> Parts:
    chat = dict.fromkeys(ROLES, chat_role(model))
    return parts_of(model, chat=chat, count=model.count_tokens, budget=BUDGET)


def test_candidates_are_exact_and_drawn_from_the_policy_itself(
    model: LocalChatModel, tmp_path: Path
) -> None:
    collected(tmp_path, some_targets(3), parts_with(model), PLAN)
    network = model.llm.pipeline.model
    looked_at = 0
    for episode in episodes(tmp_path):
        for group in episode.groups:
            drawn = [s for s in episode.candidates(group.id) if s.model != "extractive"]
            assert len(drawn) == 3 and all(s.exact and s.trainable for s in drawn)
            assert {s.base for s in drawn} == {model.fingerprint}
            assert len({s.prompt_token_ids for s in drawn}) == 1
            for sample in drawn:
                assert sample.sampling is not None and sample.sampling.temperature == 0.8
                assert sample.token_ids and sample.prompt_token_ids and sample.logprobs
                ids = torch.tensor([[*sample.prompt_token_ids, *sample.token_ids]])
                with torch.no_grad():
                    logits = network(ids).logits[0, len(sample.prompt_token_ids) - 1 : -1]
                policy = (logits.float() / 0.8).log_softmax(-1)
                wanted = policy.gather(1, torch.tensor(sample.token_ids)[:, None]).squeeze(1)
                assert torch.tensor(sample.logprobs) == pytest.approx(wanted, abs=1e-4)
                looked_at += 1
    assert looked_at == 3 * 2 * 3


def test_the_same_plan_gives_the_same_episodes_whatever_shared_their_batches(
    model: LocalChatModel, tmp_path: Path
) -> None:
    def run(folder: Path, **given: Any) -> tuple[list[Any], list[float]]:
        collected(folder, some_targets(4), parts_with(model), PLAN, **given)
        found, logprobs = [timeless(episode) for episode in episodes(folder)], []
        for episode in found:
            for sample in episode["samples"]:  # equal but for the last bits
                logprobs += sample.pop("logprobs") or ()
        return found, logprobs

    alone, first = run(tmp_path / "alone", in_flight=1)
    together, second = run(tmp_path / "together", in_flight=4)
    assert alone == together and first == pytest.approx(second, abs=1e-4)
    texts = {sample["text"] for episode in alone for sample in episode["samples"]}
    assert len(texts) > 30  # not all alike


def report(rows: int) -> BatchReport:
    work = (RoleWork("style", rows - 1, 10, 10), RoleWork("integrate", 1, 10, 10))
    return BatchReport(calls=(), work=work, seconds=1.0, capture_seconds=0.0, waiting=0)


def test_fill_is_rows_over_batches_times_limit_without_the_last() -> None:
    fill = BatchFill()
    assert fill.share() is None
    for rows in (32, 24, 4):
        fill(report(rows))
    assert fill.share(32) == 0.875  # (32 + 24) / (2 x 32)


@pytest.mark.slow
def test_batches_of_a_collection_are_full(tmp_path: Path) -> None:
    fill = BatchFill()
    with_watch = tiny_chat(window=2048, watches=[fill])
    try:
        given = {"in_flight": 12, "fill": fill}
        found = collected(tmp_path, some_targets(16), parts_with(with_watch), PLAN, **given)
    finally:
        with_watch.close()
    assert found.batch_fill == round(fill.share() or 0, 4) > 0.5
