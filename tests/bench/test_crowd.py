"""`patlm bench crowd`: callers are timed alone and beside one with the largest inputs."""

import pytest
from patlm.bench.crowd import measure_crowd


@pytest.mark.slow
async def test_callers_and_the_largest_inputs_end() -> None:
    found = await measure_crowd(callers=2, answer_s=0.0, phase_s=0.2, rounds=1)

    (row,) = found["rounds"]
    assert row["requests"] >= 2 and row["large"] >= 1
    assert row["alone"]["p50"] <= row["alone"]["p95"]
    assert found["ratio"] == row["ratio"]
