"""What a speed comparison found, as one JSON document and as lines for a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from training.benchmarks import machine

if TYPE_CHECKING:
    from training.benchmarks.speed import Comparison, Contestant, Entry

Times = Sequence[float | None]


def document(comparison: Comparison, rounds_requested: int) -> dict[str, Any]:
    """Medians, and each round: `..._by_round` has one figure a round, None where a side was not asked.

    `rows` are ours, one for each batch; `reference` is the plain backbone. `ratios` say how many times faster our model
    is: the reference's time divided by ours of the same round.
    """
    plain, peer = comparison.plain, comparison.peer
    references = {
        "plain_backbone": _times(plain, "model"),
        "peer": _times(peer, "model"),
        "peer_backbone": _times(peer, "backbone"),
    }
    rows = [row for entry in comparison.entries for row in _rows(entry)]
    result: dict[str, Any] = {
        "threads": comparison.threads,
        "isa": machine.coverage(comparison.isa),
        "rounds": comparison.rounds,
        "rounds_requested": rounds_requested,
        "interrupted": comparison.interrupted,
        "load": comparison.load.document(),
        "rows": rows,
        "races": [
            {"name": entry.name, "choice": entry.side.hello["choice"]}
            for entry in comparison.entries
            if "measured" in entry.side.hello["choice"]
        ],
        "unavailable": comparison.unavailable,
        "reference": {
            "name": "torchvision ResNet-18 up to layer3, fp32, 256x256",
            **_figures("model_ms", references["plain_backbone"]),
            "avx512_seen": plain and plain.avx512,
        },
        "ratios": [ratios for row in rows if (ratios := _ratios(row, references))],
    }
    if peer is not None:
        result["peer"] = {
            "name": peer.name,
            "fitted_on": peer.side.hello["fit"]["images"],
            **_figures("model_ms", references["peer"]),
            **_figures("backbone_ms", references["peer_backbone"]),
            "avx512_seen": peer.avx512,
        }
    if comparison.fits:
        result["fit"] = _fit(comparison.fits)
    return result


def _rows(entry: Entry) -> Iterable[dict[str, Any]]:
    hello = entry.side.hello
    for batch, times in _times(entry, "model").items():
        whole = entry.times("bytes", int(batch))
        whole_median = _median(whole)
        yield {
            "detector": entry.version.algorithm,
            "model_version": entry.version.pk,
            **{name: hello["choice"][name] for name in ("runtime", "precision")},
            "input_size": hello["input_size"],
            "batch": int(batch),
            "model_ms": _median(times),
            "model_ms_by_round": _rounded(times),
            "bytes_to_verdict_ms": whole_median,
            "bytes_to_verdict_ms_by_round": _rounded(whole),
            "images_per_second": whole_median and round(1000 / whole_median, 2),
            "peak_mb": entry.peak_mb,
            "artifact_mb": round(entry.version.artifact_bytes / 1e6, 1),
            "load_seconds": hello["load_seconds"],
            "avx512_seen": entry.avx512,
            **entry.figures,
        }


def _times(contestant: Contestant | None, figure: str) -> dict[str, Times]:
    """By batch, where there are any."""
    if contestant is None:
        return {}
    batches = sorted({batch for times in contestant.rounds for of, batch in times if of == figure})
    return {str(batch): contestant.times(figure, batch) for batch in batches}


def _figures(name: str, times: dict[str, Times]) -> dict[str, Any]:
    return {
        name: {batch: _median(rounds) for batch, rounds in times.items()},
        f"{name}_by_round": {batch: _rounded(rounds) for batch, rounds in times.items()},
    }


def _ratios(row: dict[str, Any], references: dict[str, dict[str, Times]]) -> dict[str, Any] | None:
    batch = str(row["batch"])
    found = {
        name: ratio
        for name, times in references.items()
        if (ratio := pairwise(times.get(batch, []), row["model_ms_by_round"]))
    }
    return {**{name: row[name] for name in ("detector", "runtime", "precision", "batch")}, **found} if found else None


def pairwise(reference: Times, ours: Times) -> dict[str, Any] | None:
    """How many times faster ours is, round by round, with median, least and greatest; None without a common round."""
    each = [round(theirs / mine, 3) if theirs and mine else None for theirs, mine in zip(reference, ours, strict=False)]
    known = [ratio for ratio in each if ratio is not None]
    if not known:
        return None
    return {"median": _median(known), "least": min(known), "greatest": max(known), "by_round": each}


def _fit(fits: dict[str, Any]) -> dict[str, Any]:
    result = dict(fits)
    if "peer" in fits:
        ours, peer = fits["ours"], fits["peer"]
        result["times_faster"] = round(peer["seconds"] / ours["seconds"], 2)
        without = peer["seconds"] - peer["of_which_validation"]
        result["times_faster_without_its_validation"] = round(without / ours["seconds"], 2)
        result["share_of_memory"] = round(ours["peak_mb"] / peer["peak_mb"], 2)
    return result


def as_text(figures: dict[str, Any]) -> str:
    """The figures as lines for a terminal."""
    lines = []
    if figures["interrupted"]:
        found = (
            "what follows was measured so far" if figures["rows"] or "fit" in figures else "nothing was measured yet"
        )
        lines.append(f"Interrupted: {figures['rounds']} of {figures['rounds_requested']} rounds are complete; {found}.")
    lines += [_row_as_text(row) for row in figures["rows"]]
    reference = figures["reference"]
    lines += [f"{reference['name']}: {_of_batches(reference['model_ms'])}"] if reference["model_ms"] else []
    if peer := figures.get("peer"):
        lines.append(
            f"{peer['name']} (fitted on {peer['fitted_on']} images): {_of_batches(peer['model_ms'])}; "
            f"its backbone {_of_batches(peer['backbone_ms'])}"
        )
    lines += [_ratio_as_text(ratios) for ratios in figures["ratios"]]
    if fit := figures.get("fit"):
        lines.append(_fit_as_text(fit))
    elif peer:
        lines.append("fit: not compared")
    for race in figures["races"]:
        choice = race["choice"]
        lines.append(f"{race['name']}: {choice['runtime']} {choice['precision']}, {choice.get('because', '')}")
        lines += ["  " + ", ".join(f"{name} {value}" for name, value in way.items()) for way in choice["measured"]]
    lines += [f"not measured: {row['name']}: {row['because']}" for row in figures["unavailable"]]
    if figures["rows"]:
        lines += _isa_as_text(figures)
        lines.append(machine.load_sentence(figures["load"]))
    return "\n".join(lines)


def _row_as_text(row: dict[str, Any]) -> str:
    text = (
        f"{row['detector']:<12} {row['runtime']:<12} {row['precision']:<5} batch {row['batch']:>2}: "
        f"model {row['model_ms']:7.2f} ms/image, "
    )
    if row["bytes_to_verdict_ms"] is not None:
        text += f"bytes to score {row['bytes_to_verdict_ms']:7.2f} ms/image, {row['images_per_second']:6.1f} images/s, "
    text += f"peak {row['peak_mb']:.0f} MB, loaded in {row['load_seconds']:.2f} s"
    return text + (f", AUROC {row['auroc']:.4f}" if row.get("auroc") is not None else "")


def _ratio_as_text(ratios: dict[str, Any]) -> str:
    names = {"peer": "the peer", "peer_backbone": "its backbone", "plain_backbone": "the plain backbone"}
    parts = [
        f"{ratio['median']:.2f} times as fast as {name} ({ratio['least']:.2f} to {ratio['greatest']:.2f})"
        for key, name in names.items()
        if (ratio := ratios.get(key))
    ]
    return f"{ratios['detector']} {ratios['runtime']} {ratios['precision']} batch {ratios['batch']}: " + ", ".join(
        parts
    )


def _fit_as_text(fit: dict[str, Any]) -> str:
    ours, peer = fit["ours"], fit.get("peer")
    text = f"fit on {ours['images']} images, once: {ours['seconds']} s and {ours['peak_mb']:.0f} MB"
    if peer is None:
        return text
    return (
        f"{text}, the peer {peer['seconds']} s ({peer['of_which_validation']} s of it scoring "
        f"{peer['validation_images']} test images) and {peer['peak_mb']:.0f} MB: {fit['times_faster']} times as fast "
        f"({fit['times_faster_without_its_validation']} without that scoring) with {fit['share_of_memory']:.0%} of the "
        "memory"
    )


def _isa_as_text(figures: dict[str, Any]) -> list[str]:
    isa = figures["isa"]
    if isa["name"] == machine.NATIVE:
        return []
    lines = [f"Libraries were limited to {isa['name']}:"]
    lines += [f"  {limit['variable']}={limit['value']}: {limit['covers']}" for limit in isa["limits"]]
    lines.append("  Clock rates, caches and memory stay those of this processor.")
    if isa["name"] == "avx2":
        sides = [(f"{row['detector']} {row['runtime']} {row['precision']}", row) for row in figures["rows"]]
        sides += [(figures[key]["name"], figures[key]) for key in ("reference", "peer") if key in figures]
        seen = sorted({name for name, side in sides if side["avx512_seen"]})
        if seen:
            lines.append(f"  AVX-512 was in use all the same, do not believe these: {', '.join(seen)}.")
        elif any(side["avx512_seen"] is None for _, side in sides):
            lines.append("  Whether a side used AVX-512 all the same is not known here (no arch_status in /proc).")
        else:
            lines.append("  Linux saw no side use AVX-512.")
    return lines


def _of_batches(figures: dict[str, float | None]) -> str:
    return ", ".join(f"{value:.2f} ms at batch {batch}" for batch, value in figures.items() if value is not None)


def _median(values: Times) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 3) if known else None


def _rounded(values: Times) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in values]
