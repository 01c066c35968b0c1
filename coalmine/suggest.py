"""The word a person probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "nearest", "one_of"]

CLOSENESS = 0.6
"""Ratio of equal letters from which a word counts as meant: lets one slip a syllable pass, and no more."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the word of `known` that was probably meant, empty when none is near."""
    folded = {item.lower(): item for item in known}
    near = get_close_matches(word.lower(), folded, n=1, cutoff=CLOSENESS)
    return folded[near[0]] if near else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the nearest of `known`, or nothing when none is near.

    Examples
    --------
    >>> did_you_mean("wieght", ["weight", "hold"])
    '; did you mean weight?'
    >>> did_you_mean("zzz", ["weight", "hold"])
    ''
    """
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else ""


def one_of(word: str, known: Iterable[str]) -> str:
    """Return the sentence for a word outside a closed list: the list, and the nearest of it."""
    known = list(known)
    return f"{word} is not one of {', '.join(known)}{did_you_mean(word, known)}"
