"""Which user ids are display names that several people may bear.

Two of the PGraphRAG sets have display names for ids: `Anonymous` wrote 113 texts there and `John`
49. An id counts as a display name where it is one plain word (`John`, `dave`, `PAM`) or a first
name and an initial (`Angela H`, `Kristy H.`); such ids hold 97% of the same-author pairs of the
`gap` set. Digits, underscores, inner capitals (`Natalie1021`, `BestBuyFan`) and the length of a
hash speak for an account. Longer display names (`Tamara Anderson`) are rare and seldom shared, so
they are taken for one person.
"""

from __future__ import annotations

_LONGEST_WORD = 20  # longer than names are, shorter than the ids of accounts


def is_display_name(user_id: str) -> bool:
    """Say whether an id is a name that several people may bear.

    Args:
        user_id: The id as it stands in the data.

    Returns:
        True for one plain word and for a first name with an initial.
    """
    words = [word.removesuffix(".") for word in user_id.split()]
    if len(words) == 1:
        return _is_plain(words[0])
    return len(words) == 2 and _is_plain(words[0]) and len(words[1]) == 1 and words[1].isalpha()


def _is_plain(word: str) -> bool:
    """Say whether a word is letters only, in one of the three usual casings."""
    usual = (word.lower(), word.upper(), word.capitalize())
    return word.isalpha() and len(word) <= _LONGEST_WORD and word in usual
