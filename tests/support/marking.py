"""Words that one person alone wrote, and a model that repeats them wherever it reads them."""

from fakes import Asked, ScriptedChat

MARK = "quixotic marzipan zeppelin over Tannhauser"


def echoing_model() -> ScriptedChat:
    """Return a model that repeats the mark wherever it reads it."""

    def say(asked: Asked) -> str:
        return f"As said: {MARK}." if MARK in asked.user else "A plain lamp, well made."

    return ScriptedChat(says={"style": say, "preference": say, "integrate": say})
