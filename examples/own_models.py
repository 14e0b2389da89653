"""Use your own language model for a role: any LangChain `BaseChatModel` works.

Here the style role is not a language model at all: it counts. The two other roles use
`PATLM_MODEL`, or the best installed model.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from patlm.graph import Personalizer

_TEXTS = re.compile(r'"""(.*?)"""', re.DOTALL)


class CountingStylist(BaseChatModel):
    """Describes how a person writes by measuring the texts in its prompt.

    Attributes:
        model_name: Its name in results and traces.
    """

    model_name: str = "counting-stylist"

    @property
    def _llm_type(self) -> str:
        return "counting"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Every text in a prompt of the loop is between triple double quotes.
        texts = " ".join(_TEXTS.findall(str(messages[-1].text)))
        sentences = [part for part in re.split(r"[.!?]+", texts) if part.strip()]
        words = len(texts.split()) / max(1, len(sentences))
        marks = "exclaims" if texts.count("!") > len(sentences) / 3 else "keeps calm"
        said = f"The writer {marks}, and takes about {words:.0f} words a sentence."
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])


async def main() -> None:
    """Write with a custom model in one role."""
    async with Personalizer(roles={"style": CountingStylist()}) as personalizer:
        result = await personalizer.awrite(
            "tilly-types", topic_id="airport-hotel", title="One night before an early flight"
        )
    print("style:", result.summaries["style"])
    print("draft:", result.text)
    print("models:", result.models)


if __name__ == "__main__":
    asyncio.run(main())
