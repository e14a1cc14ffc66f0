"""Sections ``differential`` (ratios of two latencies) and ``llm`` (prompt and token times)."""

from __future__ import annotations

from dse.errors import InputError
from dse.validation import published
from dse.validation.predict import missing, predict
from dse.validation.published import Case, Language
from dse.validation.record import Row, Section, Target, median_error


def differential() -> Section:
    """What exploration rests on: how a latency changes with one change of network or chip."""
    rows: list[Row] = []
    for item in published.ratios():
        why = missing(item.over) or missing(item.under)
        ours = None
        if not why:
            over, under = (_seconds(case, item.of) for case in (item.over, item.under))
            ours = over / under if over and under else None
        note = "; ".join(text for text in (item.note, why) if text)
        rows.append(Row(item.item, "ratio", item.published, ours, item.role, item.kind, note))
    targets = tuple(
        Target(f"{row.item}: error", abs(row.ratio - 1) if row.ratio else None, 0.15)
        for row in rows
        if row.role == "judged"
    )
    unchanged = median_error([1.0 / row.published for row in rows if row.role == "judged"])
    nulls = {} if unchanged is None else {"nothing changes": unchanged}
    return Section("differential", tuple(rows), nulls, targets)


def _seconds(case: Case, of: str) -> float | None:
    record = predict(case)
    if of == "latency" or not record.throughput_per_s:
        return record.latency_s
    return 1.0 / record.throughput_per_s


def streams() -> Section:
    """Frames a second of chips that pipeline networks in space, nothing fitted on them."""
    rows: list[Row] = []
    for item in published.streams():
        for batch, rate in item.rates.items():
            case = item.case(batch)
            why = missing(case)
            record = None if why else predict(case)
            calls = record.throughput_per_s if record else None
            ours = calls * batch if calls else None
            told = "; ".join(record.reasons) if record and not record.feasible else ""
            note = "; ".join(text for text in (item.note, why, told) if text)
            name = f"{item.model} on {item.chip}, batch {batch}"
            rows.append(Row(name, "throughput 1/s", rate, ours, "judged", item.kind, note))
    return Section("streams", tuple(rows))


def llm() -> Section:
    """Tokens a second at one bandwidth efficiency per kind of DRAM, and time to first token."""
    rows: list[Row] = []
    targets: list[Target] = []
    for item in published.languages():
        name = f"{item.model} on {item.chip}"
        for quantity, stated, limit, role in (
            ("decode tokens/s", item.tokens_per_s, 0.2, item.decode_role),
            ("time to first token s", item.ttft_s, 0.3, item.role),
        ):
            ours, why = _language(item, quantity)
            note = "; ".join(text for text in (item.note, why) if text)
            row = Row(name, quantity, stated, ours, role, item.kind, note)
            rows.append(row)
            if role == "judged":
                error = abs(row.ratio - 1) if row.ratio else None
                targets.append(Target(f"{name}: {quantity}, error", error, limit))
    return Section("llm", tuple(rows), targets=tuple(targets))


def _language(item: Language, quantity: str) -> tuple[float | None, str]:
    decode = quantity.startswith("decode")
    tail = f"decode@past={item.past}" if decode else f"prefill@seq={item.prompt}"
    case = Case(
        chip=item.chip, model=f"{item.model}_{tail}", precision=item.precision, cores=item.cores
    )
    try:
        record = predict(case)
    except InputError as error:
        return None, error.message
    if not record.feasible or not record.latency_s:
        return None, "; ".join(record.reasons)
    return (1.0 / record.latency_s if decode else record.latency_s), ""
