"""Rank documents: BM25, and fusion of rankings by reciprocal ranks.

All statistics come from the candidates alone. Those of more texts (the whole topic, a full-text
index) would contain the requester's own texts, and a target would show through them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..texts.arrow import Places
from .words import Terms

Scores = NDArray[np.float64]

K1, B = 1.5, 0.75
RRF_K = 60

MOST_CELLS = 4_000_000
"""Documents times words of a query up to which a table of both is made (32 MB)."""


def bm25(query: Terms, terms: Terms, starts: Places, most_cells: int = MOST_CELLS) -> Scores:
    """Return the BM25 score of each document, shape (documents,).

    Σ over query terms t of idf(t) · f(t)·(k₁+1) / (f(t) + k₁·(1 − b + b·|d|/avgdl)), with
    idf(t) = ln(1 + (N − n(t) + ½)/(n(t) + ½)) (Robertson and Zaragoza 2009, never negative, as
    in Lucene); a word that stands twice in the query counts twice.

    Args:
        query: Terms of the query, shape (words,).
        terms: Terms of all documents, one after another.
        starts: Where each document begins in `terms`, shape (documents + 1,).
        most_cells: Documents times words up to which a table of both is made.
    """
    documents = len(starts) - 1
    wanted, weight = np.unique(query, return_counts=True)
    if not documents or not len(wanted) or not len(terms):
        return np.zeros(documents)
    lengths = np.diff(starts)
    place = np.searchsorted(wanted, terms)
    place[place == len(wanted)] = 0
    hits = np.flatnonzero(wanted[place] == terms)
    owner = np.repeat(np.arange(documents), lengths)[hits]
    pairs = owner * len(wanted) + place[hits]
    norm = K1 * (1 - B + B * lengths / (lengths.sum() / documents))
    if documents * len(wanted) > most_cells:
        return _of_pairs(pairs, weight, norm)
    cells = np.bincount(pairs, minlength=documents * len(wanted))
    frequency = cells.reshape(documents, len(wanted)).astype(np.float64)
    holders = np.count_nonzero(frequency, axis=0)
    idf = np.log1p((documents - holders + 0.5) / (holders + 0.5))
    parts = frequency * (K1 + 1) / (frequency + norm[:, None])
    scores: Scores = (parts * (idf * weight)).sum(axis=1)
    return scores


def _of_pairs(pairs: Places, weight: NDArray[np.int64], norm: Scores) -> Scores:
    """Return what `bm25` does for a query of very many words: no row of each document is made.

    Args:
        pairs: Document and term of each word that is in the query, as one number.
        weight: Of each term of the query.
        norm: What the frequencies of each document are set against.
    """
    documents, words = len(norm), len(weight)
    found, frequency = np.unique(pairs, return_counts=True)
    document, term = np.divmod(found, words)
    holders = np.bincount(term, minlength=words)
    idf = np.log1p((documents - holders + 0.5) / (holders + 0.5))
    parts = frequency * (K1 + 1) / (frequency + norm[document]) * (idf * weight)[term]
    return np.bincount(document, weights=parts, minlength=documents).astype(np.float64)


def author_bests(
    scores: NDArray[np.floating], authors: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Return the best score of each author, ascending; the arguments are those of `ranks`."""
    best = np.full(int(authors.max(initial=-1)) + 1, -np.inf, scores.dtype)
    np.maximum.at(best, authors, scores)
    return np.sort(best[best > -np.inf])


def ranks(
    scores: NDArray[np.floating],
    authors: NDArray[np.integer],
    bests: NDArray[np.floating] | None = None,
) -> NDArray[np.int64]:
    """Return each score's rank from 1, higher scores first; equal scores share one.

    Others count once each, however many texts of theirs are better: nobody pushes another's text
    down by more than one rank. An author's own better texts all count.

    Args:
        scores: Of each text, shape (texts,).
        authors: Of each text, as a number from 0, shape (texts,).
        bests: What `author_bests` returns of all texts that are ranked, where these are some of
            them; None: these are all.
    """
    bests = author_bests(scores, authors) if bests is None else bests
    order = np.lexsort((-scores, authors))
    score, author = scores[order], authors[order]
    leads = np.ones(len(order), np.bool_)
    leads[1:] = author[1:] != author[:-1]
    differs = leads.copy()
    differs[1:] |= score[1:] != score[:-1]
    places = np.arange(len(order))
    own = np.maximum.accumulate(np.where(differs, places, 0))
    own -= np.maximum.accumulate(np.where(leads, places, 0))
    better = len(bests) - np.searchsorted(bests, score, side="right")
    found = np.empty(len(order), np.int64)
    found[order] = 1 + own + better - (own > 0)  # the author's own best is among the better ones
    return found


def fuse(rankings: Sequence[NDArray[np.int64]], weights: Sequence[float]) -> Scores:
    """Return reciprocal rank fusion, scaled so that first everywhere is 1.

    Weighted mean over rankings of (k + 1) / (k + rank), k = 60 (Cormack, Clarke and Büttcher 2009).

    Args:
        rankings: Ranks from 1, each of shape (documents,).
        weights: Of each ranking, one above 0 at least.
    """
    parts = [(RRF_K + 1) / (RRF_K + ranking) for ranking in rankings]
    fused: Scores = np.average(parts, axis=0, weights=weights)
    return fused
