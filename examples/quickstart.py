"""Remember what a user wrote, then write for that user."""

import asyncio

from patlm.graph import Personalizer


async def main() -> None:
    """Write for Ana, of whom one text is known."""
    async with Personalizer() as personalizer:  # the sample corpus, the bundled model
        await personalizer.add("ana", "Lovely!! Slept like a log. Bit of road noise... so what!")
        result = await personalizer.awrite("ana", topic_id="wool-blanket", title="Warm at last")
        print(result.text)
        print("borrowed from:", [piece.user_id for piece in result.evidence["style"]])


asyncio.run(main())
