"""Turn tokens into text as they come, and end it at a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_INCOMPLETE = "\ufffd"


class TextPieces:
    """Decode one token after another; the pieces joined are the text.

    A token can be half a character, and the first token of a text may lose its space, so a token
    is decoded together with those since the last whole piece, as text-generation-inference does.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        """Start empty.

        Args:
            decode: Turns token ids into text, special tokens left out.
        """
        self._decode = decode
        self._ids: list[int] = []
        self._known = 0  # ids[:known] are out as text ...
        self._context = 0  # ... and ids[context:known] are decoded again, as context

    def add(self, token_id: int) -> str:
        """Return the text that this token completes; "" while a character is incomplete."""
        self._ids.append(token_id)
        piece = self._new_text()
        if piece.endswith(_INCOMPLETE):
            return ""
        self._context, self._known = self._known, len(self._ids)
        return piece

    def rest(self) -> str:
        """Return what is left at the end: a character that was never completed."""
        piece = self._new_text()
        self._context = self._known = len(self._ids)
        return piece

    def _new_text(self) -> str:
        before = self._decode(self._ids[self._context : self._known])
        return self._decode(self._ids[self._context :])[len(before) :]


class StopStrings:
    """Let text through up to a stop string, holding back what may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Start with nothing held back."""
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, piece: str) -> tuple[str, bool]:
        """Return the text that is safe to show, and whether a stop string was met."""
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self._held = ""
            return text[: min(places)], True
        held = self._longest_opening(text)
        self._held = text[len(text) - held :]
        return text[: len(text) - held], False

    def rest(self) -> str:
        """Return what was held back, once no more text comes."""
        held, self._held = self._held, ""
        return held

    def _longest_opening(self, text: str) -> int:
        """Return how many last characters of the text open a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
