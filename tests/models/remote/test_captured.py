"""Runs on a model of a server leave episodes whose samples are told to be inexact."""

from __future__ import annotations

from pathlib import Path

from faulty_server import TEXT, faulty_server
from loop_parts import ROLES, parts_of, run
from patlm.graph.open import chat_role
from patlm.stores.episodes.shards import EpisodeWriter, read_episodes
from patlm.stores.episodes.stats import count_episodes
from remote_models import opened


async def test_samples_of_a_server_are_inexact_and_counted(tmp_path: Path) -> None:
    with faulty_server() as server, opened(server.url) as model:
        role = chat_role(model)
        writer = EpisodeWriter(tmp_path)
        parts = parts_of(model, chat=dict.fromkeys(ROLES, role), trace=writer, capture=True)
        await run(parts, max_iterations=1)
    (episode,) = read_episodes(tmp_path)
    assert [sample.text for sample in episode.samples] == [TEXT] * 3
    assert all(not sample.exact and sample.base is None for sample in episode.samples)
    assert all(sample.sampling and sample.sampling.temperature == 0 for sample in episode.samples)
    assert {sample.finish_reason for sample in episode.samples} == {"stop"}
    counts = count_episodes([episode]).as_dict()
    assert (counts["samples"], counts["inexact"], counts["failed"]) == (3, 3, 0)
    assert "logprobs" not in server.asked[0], "nothing is asked for that would not be used"
