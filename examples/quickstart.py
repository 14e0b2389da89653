"""Store a text of a user, then write for that user."""

import asyncio

from patlm.graph import Personalizer


async def main() -> None:
    """Write for Ana, who has one known text."""
    async with Personalizer() as personalizer:  # sample corpus, the best installed model
        await personalizer.add("ana", "Lovely!! Slept like a log. Bit of road noise... so what!")
        result = await personalizer.awrite("ana", topic_id="wool-blanket", title="Warm at last")
        print(result.text)
        print("borrowed from:", [piece.user_id for piece in result.evidence["style"]])


asyncio.run(main())
