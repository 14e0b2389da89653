"""How a model serves: every number by hand, and against what a real model was asked."""

import asyncio
import time

import pytest
from patlm.models.telemetry import BatchReport, Figures, ServingStats, Spread
from tiny_models import batch_report, call_report, watched_chat

FIRST = batch_report(
    call_report("style", prompt_tokens=100, new_tokens=10, first_token_s=0.5, ended_s=1.0),
    call_report("preference", prompt_tokens=200, new_tokens=30, first_token_s=1.0, ended_s=2.0),
    seconds=2.0,
    capture_seconds=0.1,
    waiting=3,
)
SECOND = batch_report(
    call_report("style", prompt_tokens=100, new_tokens=20, first_token_s=1.5, ended_s=4.0),
    call_report(None, prompt_tokens=50, new_tokens=0, first_token_s=None, ended_s=None),
    seconds=2.0,
    waiting=1,
)


def told(*reports: BatchReport, **window: int) -> ServingStats:
    stats = ServingStats(**window)
    for report in reports:
        stats(report)
    return stats


def near(figures: Figures) -> Figures:
    """Return figures that equal others to the sixth digit."""
    values = {name: pytest.approx(value) for name, value in vars(figures).items()}
    for name in ("ttft_ms", "total_ms"):
        spread = vars(figures)[name]
        if spread is not None:
            values[name] = Spread(pytest.approx(spread.p50), pytest.approx(spread.p95))
    return Figures(**values)


def test_all_calls() -> None:
    snapshot = told(FIRST, SECOND).snapshot()
    assert snapshot.waiting == 1
    # Four seconds of generating: 60 / 4 tokens written and 450 / 4 read a second, 0.1 / 4 of it
    # capturing. First tokens .5 1 1.5 s: the 95% point lies 90% of the way from 1 to 1.5.
    # Answers 1 2 4 s: 90% of the way from 2 to 4.
    assert snapshot.total == near(
        Figures(
            calls=4,
            failed=1,
            batches=2,
            prompt_tokens=450,
            new_tokens=60,
            batch_size_mean=2.0,
            batch_size_last=2,
            tokens_per_s=15.0,
            prompt_tokens_per_s=112.5,
            ttft_ms=Spread(1000.0, 1450.0),
            total_ms=Spread(2000.0, 3800.0),
            capture_share=0.025,
        )
    )


async def test_the_numbers_of_a_real_model_are_those_that_were_asked_for() -> None:
    stats = ServingStats()
    model = watched_chat(stats, rows=3)
    asked = [("style", "One two three", 5), ("style", "Four", 7), ("integrate", "Five six", 3)]
    begin = time.perf_counter()
    answers = await asyncio.gather(
        *(model.ainvoke(text, role=role, max_tokens=new, capture=True) for role, text, new in asked)
    )
    answers.append(await model.ainvoke("Nobody says what for", max_tokens=2))
    wall_s = time.perf_counter() - begin
    await asyncio.to_thread(model.close)  # the last batch has been told of after that
    read = [answer.usage_metadata["input_tokens"] for answer in answers]
    written = [answer.usage_metadata["output_tokens"] for answer in answers]
    assert all(0 < new <= most for new, most in zip(written, (5, 7, 3, 2), strict=True))

    snapshot = stats.snapshot()
    total, style, integrate = snapshot.total, snapshot.roles["style"], snapshot.roles["integrate"]
    assert (total.calls, total.failed, total.batch_size_last) == (4, 0, 1)
    assert total.batch_size_mean is not None and 1 < total.batch_size_mean < 3  # three, then one
    assert (total.prompt_tokens, total.new_tokens) == (sum(read), sum(written))
    assert (style.calls, style.prompt_tokens) == (2, read[0] + read[1])
    assert style.new_tokens == written[0] + written[1]
    assert (integrate.calls, integrate.new_tokens) == (1, written[2])
    assert snapshot.roles["-"].new_tokens == written[3]
    assert snapshot.adapters == {"base": 4} and snapshot.waiting == 0
    # 12 to 17 tokens in less time than all took: faster than that, and reading in proportion.
    assert total.tokens_per_s is not None and total.tokens_per_s > sum(written) / wall_s
    assert total.prompt_tokens_per_s == pytest.approx(total.tokens_per_s * sum(read) / sum(written))
    assert total.ttft_ms is not None and total.total_ms is not None
    assert 0 < total.ttft_ms.p50 < total.total_ms.p50 < total.total_ms.p95 < wall_s * 1e3
    assert total.capture_share is not None and 0 < total.capture_share < 1
    assert snapshot.roles["-"].capture_share == 0.0
