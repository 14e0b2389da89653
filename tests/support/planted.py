"""A data set in which style and preference decide every target by construction, and its model.

People shout or murmur, which shows in words and signs, the title's too; and of each product they
praise one of two parts, which the title names. A model that reads its evidence can know both, and
one that does not can't. Every text has as many words as any other, so that length tells nothing.
"""

import json
import random
from pathlib import Path
from typing import Any

from fakes import Asked, ScriptedChat, fails

TOPICS = ("lamp", "kettle", "radio", "clock", "chair", "table")
PARTS = {
    "handle": "fits every hand like nothing else before",
    "colour": "shines deeply through long and grey mornings",
}
STYLES = {
    "shout": ("WOW REALLY", "!!! TRULY WOW!!!"),
    "murmur": ("well quite", "... somewhat so..."),
}
STYLE_SAYS = {"shout": "They shout.", "murmur": "They murmur."}


def write_planted(file: Path, people: int = 36, texts: int = 4) -> Path:
    """Write the data set: each person's texts on different products, the latest the target."""
    draw = random.Random(7)
    rows = []
    for person in range(people):
        style, part = list(STYLES)[person % 2], list(PARTS)[person // 2 % 2]
        for at, topic in enumerate(draw.sample(TOPICS, texts)):
            noise = " ".join("".join(draw.choices("bdfgklmnprst", k=5)) for _ in range(5))
            rows.append(
                {
                    "user_id": f"person {person} of many",
                    "topic_id": topic,
                    "title": planted_title(style, part, draw.randrange(10**6)),
                    "text": planted_text(style, part, noise),
                    "timestamp": 1_000 * at + person,
                }
            )
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return file


def planted_title(style: str, part: str, number: int) -> str:
    """Return a title that names a part, in a style."""
    return f"{part.upper()} {number}!!! WOW!!!" if style == "shout" else f"{part} {number}... so..."


def planted_text(style: str, part: str, noise: str = "") -> str:
    """Return a text of a style about a part."""
    before, after = STYLES[style]
    body = f"{noise} {PARTS[part]}".strip()
    return f"{before} {body.upper() if style == 'shout' else body}{after}"


def reading_model(**given: Any) -> ScriptedChat:
    """Return a model that says what its evidence shows, and writes what summaries say."""

    def style(asked: Asked) -> str:
        shouts = asked.user.count("WOW REALLY")
        return STYLE_SAYS["shout" if shouts > asked.user.count("well quite") else "murmur"]

    def preference(asked: Asked) -> str:
        seen = asked.user.lower()
        return max(PARTS.values(), key=seen.count)

    def integrate(asked: Asked) -> str:
        said = next((style for style, says in STYLE_SAYS.items() if says in asked.user), None)
        before, after = STYLES[said] if said else ("it is", " as they go")
        praise = next((phrase for phrase in PARTS.values() if phrase in asked.user), "a fine thing")
        return f"{before} {praise}{after}"

    return ScriptedChat(
        says={"style": style, "preference": preference, "integrate": integrate}, **given
    )


def deaf_model() -> ScriptedChat:
    """Return a model that takes no notice of what it is shown."""
    return ScriptedChat(says=dict.fromkeys(("style", "preference", "integrate"), "It is good."))


def failing_model() -> ScriptedChat:
    """Return a model that refuses every call."""
    return ScriptedChat(fault=fails(ValueError("no weights")))


def fair_judge() -> ScriptedChat:
    """Return a judge that counts the words that both texts have."""

    def judge(asked: Asked) -> str:
        first, second = (set(line.lower().split()) for line in asked.user.splitlines()[:2])
        return str(1 + min(6, len(first & second) // 2))

    return ScriptedChat(says={"other": judge})


def prosaic_judge() -> ScriptedChat:
    """Return a judge that gives no number."""
    return ScriptedChat(says={"other": "Well, it depends."})


def slowest_model() -> ScriptedChat:
    """Return the model that reads, so slowly that something else can be done meanwhile."""
    return reading_model(slow_s=1.5)


def slow_model() -> ScriptedChat:
    """Return the model that reads, at the pace of a real one."""
    return reading_model(slow_s=0.2)
