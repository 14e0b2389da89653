"""The running batch over a real tiny model: who comes and who goes must not show in an answer."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from adapter_fixtures import random_adapter
from patlm.models.local.adapters import AdapterFiles, AdapterSlots
from patlm.models.local.engine import Capture, ChooseTokens, RunningBatch
from patlm.models.local.kv_cache import ROOM, holds_plain_layers
from patlm.models.local.rows import Completion, Row
from patlm.models.local.sampling import Sampling
from tiny_models import tiny_llama, tiny_tokenizer
from transformers import (
    LlamaConfig,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    RepetitionPenaltyLogitsProcessor,
)

TOKENIZER = tiny_tokenizer()
PAD = 257

CALLS = [
    ("hello", Sampling(max_tokens=30, capture=True)),
    ("a longer prompt than the first", Sampling(max_tokens=ROOM + 20)),
    ("b?", Sampling(max_tokens=5, temperature=1.3, seed=2, capture=True)),
    ("x" * 90, Sampling(max_tokens=25, temperature=0.7, seed=1, top_p=0.8)),
    ("one two", Sampling(max_tokens=40, no_repeat_ngram_size=1)),
    ("two two", Sampling(max_tokens=20, repetition_penalty=1.3)),
    ("last", Sampling(max_tokens=12, temperature=1.0, seed=3, adapter="style@1", capture=True)),
    ("late", Sampling(max_tokens=33, adapter="style@2")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adapters")
    for seed in (1, 2):
        random_adapter(root / f"style@{seed}", seed)
    return root


@pytest.fixture
def running(folder: Path) -> RunningBatch:
    slots = AdapterSlots(
        tiny_llama(len(TOKENIZER)).eval(), lambda name: AdapterFiles(folder / name)
    )
    for name in ("style@1", "style@2"):
        slots.check(name)
    return RunningBatch(slots, PAD)


def rows_of(calls: Sequence[tuple[str, Sampling]] = CALLS) -> list[Row]:
    return [
        Row(
            TOKENIZER(prompt)["input_ids"],
            sampling,
            decode=TOKENIZER.decode,
            end_ids=frozenset({PAD}),
        )
        for prompt, sampling in calls
    ]


def after(tokens: int) -> Callable[[int], bool]:
    return lambda pushed: pushed >= tokens


def never(pushed: int) -> bool:
    return False


def to_the_end(running: RunningBatch) -> None:
    while running.rows:
        running.write(never)


def answers(rows: Sequence[Row]) -> list[Completion]:
    return [row.future.result(timeout=0) for row in rows]


def alone(running: RunningBatch) -> list[Completion]:
    rows = rows_of()
    for row in rows:
        running.admit([row])
        to_the_end(running)
    return answers(rows)


def test_rows_that_come_and_go_are_written_as_if_alone(running: RunningBatch) -> None:
    wanted = alone(running)
    rows = rows_of()
    running.admit(rows[:2])
    running.write(after(3))
    running.admit(rows[2:4])  # one that soon ends, one whose prompt is the longest
    running.write(after(10))
    running.admit([])
    running.admit(rows[4:6])
    running.write(after(1))
    running.admit(rows[6:])  # each on an adapter of its own
    assert len(running.rows) == 7
    to_the_end(running)
    for got, want in zip(answers(rows), wanted, strict=True):
        assert (got.token_ids, got.text, got.finish_reason) == (
            want.token_ids,
            want.text,
            want.finish_reason,
        )
        assert got.adapter == want.adapter
        if want.logprobs is None:
            assert got.logprobs is None
        else:
            torch.testing.assert_close(got.logprobs, want.logprobs, atol=1e-4, rtol=0)
    lengths = {len(answer.token_ids) for answer in wanted}
    assert len(lengths) > 4, "rows that all end together would prove less"


def test_a_batch_that_can_not_be_read_leaves_the_others(
    running: RunningBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = alone(running)[0]
    first, second = rows_of(CALLS[:2])
    running.admit([first])
    running.write(after(3))
    with monkeypatch.context() as patch:
        patch.setattr("patlm.models.local.engine.left_pad", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            running.admit([second])
    to_the_end(running)
    assert answers([first]) == [wanted]


def sliding_mistral() -> PreTrainedModel:
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        initializer_range=0.3,
        bos_token_id=256,
        eos_token_id=PAD,
        pad_token_id=PAD,
    )
    return MistralForCausalLM(config).eval()


def test_a_model_with_a_sliding_window_runs_batch_by_batch() -> None:
    model = sliding_mistral()
    assert not holds_plain_layers(model.config) and holds_plain_layers(LlamaConfig())
    running = RunningBatch(AdapterSlots(model), PAD)
    assert not running.admits
    rows = rows_of([("hello, this is longer than the window", Sampling(max_tokens=20))] * 2)
    running.admit(rows)
    assert running.rows == []
    ids = torch.tensor([rows[0].prompt_ids])
    out = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False
    )
    wanted = tuple(out[0, ids.shape[1] :].tolist())
    assert [answer.token_ids for answer in answers(rows)] == [wanted, wanted]


def test_an_answer_does_not_end_before_its_least_length(running: RunningBatch) -> None:
    def lengths(least: int) -> list[int]:
        asked = [
            ("a", Sampling(max_tokens=40, min_tokens=least, temperature=2.0, seed=seed))
            for seed in range(40)
        ]
        rows = rows_of(asked)
        running.admit(rows)
        to_the_end(running)
        assert all(row.future.result(timeout=0).finish_reason for row in rows)
        return [len(row.future.result(timeout=0).token_ids) for row in rows]

    assert min(lengths(0)) < 30
    assert set(lengths(40)) == {40}
    assert 30 < min(lengths(30)) < 40


def test_the_penalty_of_repetition_is_that_of_transformers_without_the_prompt() -> None:
    sampling = Sampling(max_tokens=9, repetition_penalty=1.3)
    rows = rows_of([("prompt", sampling), ("b", Sampling())])
    for row in rows:
        for token_id in (4, 9, 4, 7):
            row.push(token_id)
    scores = torch.randn(2, 258, generator=torch.Generator().manual_seed(0))
    theirs = RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([[4, 9, 4, 7]]), scores[:1].clone())
    ours = ChooseTokens(rows, [None, None], Capture(rows))(torch.empty(0), scores.clone())
    torch.testing.assert_close(ours[:1], theirs)
    assert torch.equal(ours[1], scores[1]) and not torch.equal(ours[0], scores[0])
