"""Reads: reviews as they are shown, and how far people agree with the models and with one another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, groupby
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, QuerySet

from inspection.history.filters import Filters
from inspection.models import Inspection, Review
from inspection.reviews.services import effective_reviews
from modelzoo.evaluation.intervals import proportion_interval

_MAX_PAIRS = 50
GOOD, DEFECTIVE = Review.Verdict.GOOD.value, Review.Verdict.DEFECTIVE.value
NOT_COMPARABLE = Inspection.Outcome.NOT_COMPARABLE.value
Ratings = Sequence[Mapping[int, str]]
"""For each part: what each person who looked at it said last, by the person's id."""


# ---------------------------------------------------------------- in figures
def agreement_document(filters: Filters) -> dict[str, Any]:
    """How far people agree with the models, and among themselves, about the reviewed records of a filter.

    Reviewed records are seldom a fair sample of all: people look at what was rejected. The rates are those of the
    reviewed ones, and what they say about all others depends on how the reviewed ones were chosen.
    """
    reviewed = filters.apply(Inspection.objects.filter(standing__isnull=False))
    counts = {
        (row["outcome"], row["standing__verdict"]): row["n"]
        for row in reviewed.order_by().values("outcome", "standing__verdict").annotate(n=Count("pk"))
    }
    return {
        "filters": filters.as_dict(),
        "records": sum(counts.values()),
        "model": with_model(counts) | {"defect_types": _defect_types(reviewed)},
        "people": among_people(reviewed),
    }


def with_model(counts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """The last reviews against the model's outcomes. `counts`: by (outcome, verdict of the last review)."""
    table = {
        outcome: {verdict: counts.get((outcome, verdict), 0) for verdict in (GOOD, DEFECTIVE)}
        for outcome in (GOOD, DEFECTIVE, NOT_COMPARABLE)
    }
    accepted, rejected = table[GOOD], table[DEFECTIVE]
    agreed, total = accepted[GOOD] + rejected[DEFECTIVE], sum(accepted.values()) + sum(rejected.values())
    return {
        "confusion": table,
        "agreement": rate(agreed, total),
        # Of what the model rejected, what people called good; of what it passed, what people called defective.
        "false_rejects": rate(rejected[GOOD], sum(rejected.values())),
        "escapes": rate(accepted[DEFECTIVE], sum(accepted.values())),
    }


def rate(count: int, total: int) -> dict[str, Any]:
    """A share with its exact 95 % interval; both None of nothing."""
    return {
        "count": count,
        "of": total,
        "rate": count / total if total else None,
        "interval": proportion_interval(count, total),
    }


def _defect_types(reviewed: QuerySet[Inspection]) -> list[dict[str, Any]]:
    """Of the defective parts of each type, as people named it: how many the model caught. The most frequent first."""
    rows = (
        reviewed.filter(standing__verdict=DEFECTIVE)
        .order_by()
        .values("standing__defect_type", "outcome")
        .annotate(n=Count("pk"))
    )
    by_type: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        by_type[row["standing__defect_type"]][row["outcome"]] += row["n"]
    ordered = sorted(by_type.items(), key=lambda item: (-item[1].total(), item[0]))
    return [
        {
            "defect_type": name,
            "recall": rate(outcomes[DEFECTIVE], outcomes[DEFECTIVE] + outcomes[GOOD]),
            "not_comparable": outcomes[NOT_COMPARABLE],
        }
        for name, outcomes in ordered
    ]


def among_people(reviewed: QuerySet[Inspection]) -> dict[str, Any]:
    """What people say who looked at the same part. Who reviewed a part twice counts once, with the last word."""
    rows = (
        Review.objects.filter(inspection__in=reviewed.filter(standing__reviews__gt=1))
        .order_by("inspection_id", "number")
        .only("inspection_id", "reviewer_id", "verdict", "undoes_id")
    )
    verdicts: dict[Any, dict[int, str]] = defaultdict(dict)
    for inspection, reviews_of_it in groupby(rows.iterator(chunk_size=2000), key=lambda row: row.inspection_id):
        for review in effective_reviews(reviews_of_it):
            verdicts[inspection][review.reviewer_id] = review.verdict
    ratings = [words for words in verdicts.values() if len(words) > 1]
    return {
        "records": len(ratings),
        "unanimous": rate(sum(len(set(words.values())) == 1 for words in ratings), len(ratings)),
        "agreement": pairwise_agreement(ratings),
        "fleiss_kappa": fleiss_kappa(ratings),
        "pairs": _pairs(ratings),
    }


def _pairs(ratings: Ratings) -> list[dict[str, Any]]:
    """Every two people who looked at the same parts, those with the most parts first."""
    shared: dict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
    for words in ratings:
        for one, other in combinations(sorted(words), 2):
            shared[one, other].append((words[one], words[other]))
    largest = sorted(shared.items(), key=lambda item: (-len(item[1]), item[0]))[:_MAX_PAIRS]
    names = dict(User.objects.filter(pk__in={pk for pair, _ in largest for pk in pair}).values_list("pk", "username"))
    return [
        {
            "reviewers": [names[one], names[other]],
            "agreement": rate(sum(a == b for a, b in words), len(words)),
            "cohen_kappa": cohen_kappa(words),
        }
        for (one, other), words in largest
    ]


# ---------------------------------------------------------------- the mathematics
def cohen_kappa(pairs: Iterable[tuple[str, str]]) -> float | None:
    """Agreement of two people beyond chance (Cohen 1960): (p_o - p_e) / (1 - p_e).

    None of nothing, and where both always said the same one word: then chance alone agrees always.
    """
    words = list(pairs)
    if not words:
        return None
    n = len(words)
    first, second = Counter(a for a, _ in words), Counter(b for _, b in words)
    observed = sum(a == b for a, b in words) / n
    expected = sum(first[word] * second[word] for word in first) / n**2
    return _beyond_chance(observed, expected)


def pairwise_agreement(ratings: Ratings) -> float | None:
    """The chance that two people who looked at the same part say the same, averaged over the parts."""
    shares = [_agreeing_pairs(words) for words in ratings]
    return sum(shares) / len(shares) if shares else None


def fleiss_kappa(ratings: Ratings) -> float | None:
    """Agreement of many people beyond chance (Fleiss 1971), each part looked at by two or more of them.

    Where not all parts have equally many, a part counts once, however many looked at it: observed agreement and the
    share of each word are means over the parts. With equally many that is Fleiss's own. None as in `cohen_kappa`.
    """
    observed = pairwise_agreement(ratings)
    if observed is None:
        return None
    shares: dict[str, float] = defaultdict(float)
    for words in ratings:
        for word, count in Counter(words.values()).items():
            shares[word] += count / len(words)
    return _beyond_chance(observed, sum((share / len(ratings)) ** 2 for share in shares.values()))


def _agreeing_pairs(words: Mapping[int, str]) -> float:
    n = len(words)
    return sum(count * (count - 1) for count in Counter(words.values()).values()) / (n * (n - 1))


def _beyond_chance(observed: float, expected: float) -> float | None:
    return None if expected >= 1 - 1e-12 else (observed - expected) / (1 - expected)
