"""Write for twelve people of the sample corpus and print the drafts as Markdown, as they come.

    PATLM_MODEL=qwen2.5-coder-1.5b python examples/twelve_people.py [--drafts 4] > drafts.md

None is chosen by hand: every fourth person by name, and the first of their texts by id. What they
really wrote under its title is removed before.
"""

import argparse
import asyncio
import sys
import time

from patlm.graph import Personalizer
from patlm.stores import Text, read_texts, sample_corpus

PEOPLE = 12


def targets() -> list[Text]:
    """Return one text of each of twelve people."""
    first: dict[str, Text] = {}
    for text in read_texts(sample_corpus()):
        if isinstance(text, Text):
            known = first.setdefault(text.user_id, text)
            first[text.user_id] = min(known, text, key=lambda each: each.text_id)
    names = sorted(first)
    return [first[names[number * len(names) // PEOPLE]] for number in range(PEOPLE)]


async def main(drafts: int) -> None:
    """Write for all of them in one batch and print the drafts beside their titles."""
    real = targets()
    requests = [
        {"user_id": text.user_id, "topic_id": text.topic_id, "title": text.title} for text in real
    ]
    async with Personalizer() as personalizer:  # a copy of the sample store, of this process
        for text in real:
            await personalizer.remove_texts(text.user_id, [text.text_id])
        began = time.monotonic()
        results = await personalizer.abatch(
            requests, drafts=drafts, max_iterations=1, deadline_s=6 * 3600
        )
    print(f"{PEOPLE} drafts in {time.monotonic() - began:.0f} s", file=sys.stderr)
    for text, result in zip(real, results, strict=True):
        print(f"\n### {text.title}\n\n{text.user_id}, about {text.topic_id}:\n")
        print("\n".join(f"> {line}" for line in result.text.splitlines()))
        print(f"\n{len(result.text.split())} words; the real text {len(text.body.split())}.")
        for warning in result.warnings:
            print(f"- {warning}")


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--drafts", type=int, default=1, help="drafts to choose from, for each person")
asyncio.run(main(parser.parse_args().drafts))
