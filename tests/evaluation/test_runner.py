"""Whose summaries are lent, by an evaluator that only says what it was asked."""

from functools import partial
from pathlib import Path
from typing import Any

from patlm.evaluation.arms.configuration import Configuration
from patlm.evaluation.arms.registry import ARMS
from patlm.evaluation.evaluator import Outcome
from patlm.evaluation.items import Item, ItemFile
from patlm.evaluation.runner import RunSetup, Unit, run_units
from patlm.evaluation.scores.leakage import LeakCheck
from patlm.evaluation.scores.metrics import Draft
from patlm.evaluation.targets import Target, targets_of
from patlm.stores import Text
from patlm.stores.datasets.splits import Splits
from store_fixtures import style_encoder, topic_encoder

SHUFFLED = ARMS["shuffled"]


def target(user: str, body: str) -> Target:
    text = Text(user, body, title=f"The title of {user}", target=True)
    return targets_of("data", [text], "long", splits=Splits())[0]


ANA, BO, CY = target("ana", "What Ana wrote."), target("bo", "Bo's."), target("cy", "Cy's.")


class Lends:
    """An `Evaluator` whose runs read given texts, by user."""

    def __init__(self, **read: str) -> None:
        self.read = read
        self.given: Any = None

    async def run(
        self, configuration: Configuration, of: Target, *, seed: int = 0, given: Any = None
    ) -> Outcome:
        if given is not None:
            self.given = given
        user = of.text.user_id
        piece = {"text_id": "t", "body": self.read.get(user, "Something else."), "score": 1.0}
        return Outcome(
            draft=f"For {user}.",
            summaries={"style": f"{user}'s style", "preference": None},
            evidence={"style": [piece]},
            own=[],
            cold_start="zero",
            pool_size={},
            cut_share=None,
            iterations=1,
            stop_reason="max_iterations",
        )


async def lent(evaluator: Lends, folder: Path) -> tuple[Item | None, Any]:
    draft = partial(Draft, style=style_encoder(), topic=topic_encoder())
    setup = RunSetup("all", evaluator, None, draft, LeakCheck([]), "made")  # type: ignore[arg-type]
    kept = ItemFile(folder / "items.jsonl")
    told: list[Item] = []
    units = [Unit(ANA, SHUFFLED, donors=(BO, CY))]
    await run_units(setup, units, kept, on_item=told.append)
    return told[0], evaluator.given


async def test_the_first_donor_lends(tmp_path: Path) -> None:
    item, given = await lent(Lends(), tmp_path)
    assert given == {"ana": {"style": "bo's style", "preference": None}}
    assert item is not None and item.draft == "For ana."


async def test_a_donor_who_was_shown_the_real_text_does_not(tmp_path: Path) -> None:
    _, given = await lent(Lends(bo="what ANA  wrote."), tmp_path)
    assert given == {"ana": {"style": "cy's style", "preference": None}}


async def test_where_all_were_shown_it_the_item_fails(tmp_path: Path) -> None:
    item, given = await lent(Lends(bo="What Ana wrote.", cy="What Ana wrote."), tmp_path)
    assert given is None and item is not None
    assert item.failed == "the real text is evidence of all 2 lenders"
