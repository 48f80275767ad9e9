"""A model's card: what it is, what it answers, and where its time went, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from demo.page.asking import AskError, Candidate, Outcome, Reply
from demo.page.describing import Description
from demo.page.highlight import excerpt, marked, shown

STAGES = ("tokenize", "queue", "run", "extract")
NO_ANSWER = "no answer in this text"


NOTHING_ASKED = '<p class="verdict waits">Ask, and compare what each model answers.</p>'


def looking(name: str) -> str:
    """The card of a model that nothing is known of yet."""
    return _card(name, None, "idle", '<p class="hint">Looking what it is …</p>')


def idle(name: str, description: Description | None) -> str:
    """The card of a model that has not been asked yet."""
    if description is None:
        said = "It is not there now; it will be asked all the same."
        return _card(name, description, "away", f'<p class="hint">{said}</p>')
    return _card(name, description, "idle", '<p class="hint">Not asked yet.</p>')


def asking(name: str, description: Description | None) -> str:
    """The card of a model whose answer is waited for."""
    body = (
        '<p class="hint" role="status">Asking …</p><div class="waiting" aria-hidden="true"></div>'
    )
    return _card(name, description, "asking", body)


def done(
    name: str,
    description: Description | None,
    outcome: Outcome,
    text: str,
    *,
    baseline: Outcome | None,
    longest: float,
) -> str:
    """The card of a model that has answered, or failed to.

    Args:
        name, description, outcome: Of the model.
        text: What it was asked about.
        baseline: The first model's outcome, None where it is waited for or is this one.
        longest: Milliseconds of the slowest model, which the bars are drawn to.
    """
    if isinstance(outcome, AskError):
        body = f'<p class="problem"><b>No answer:</b> {shown(str(outcome))}.</p>'
        return _card(name, description, "failed", body)
    best = outcome.best
    words = shown(best.text) if best.text else NO_ANSWER
    kind = "answer" if best.text else "answer none"
    parts = [
        f'<p class="{kind}"><span class="words">{words}</span>'
        f' <span class="score">score {best.score:.2f}</span></p>'
    ]
    whole = False
    if best.text:
        passage, whole = excerpt(text, best.start, best.end)
        parts.append(f'<p class="passage">{passage}</p>')
    parts += [_stages(outcome, longest), _more(outcome, text, whole)]
    return _card(name, description, "answered", "".join(parts), _pace(outcome, baseline))


def verdict(names: Sequence[str], outcomes: Sequence[Outcome | None]) -> str:
    """One sentence on all answers; the first model is the baseline of the speed-up."""
    replies = {n: o for n, o in zip(names, outcomes, strict=True) if isinstance(o, Reply)}
    waited = sum(outcome is None for outcome in outcomes)
    if waited:
        count = f"{len(outcomes) - waited} of {len(outcomes)}"
        return f'<p class="verdict waits">{count} models have answered …</p>'
    if not replies:
        return '<p class="verdict">None of the models can answer now.</p>'
    said = _agreement(replies, len(outcomes))
    first = outcomes[0]
    if isinstance(first, Reply) and len(replies) > 1:
        quickest = min(replies, key=lambda name: replies[name].milliseconds or float("inf"))
        times = _times(replies[quickest], first)
        if times and quickest != names[0]:
            said += f", {shown(quickest)} {times} as fast as {shown(names[0])}"
    return f'<p class="verdict">{said}.</p>'


def _agreement(replies: dict[str, Reply], asked: int) -> str:
    answers = [reply.best.text for reply in replies.values()]
    away = f" ({asked - len(answers)} of {asked} cannot answer now)" if len(answers) < asked else ""
    if len(answers) == 1:
        return f"Only {shown(next(iter(replies)))} answered{away}" if asked > 1 else "Answered"
    if len(set(answers)) == 1:
        number = "Both" if len(answers) == 2 else f"All {len(answers)}"
        found = "give the same answer" if answers[0] else "find no answer"
        return f"{number} models {found}{away}"
    return f"The answers differ{away}"


def _card(name: str, description: Description | None, state: str, body: str, pace: str = "") -> str:
    return (
        f'<article class="card {state}" data-model="{shown(name)}" aria-label="{shown(name)}">'
        f"<header><div><h3>{shown(name)}</h3>"
        f'<p class="facts">{_facts(description)}</p></div>{pace}</header>{body}</article>'
    )


def _facts(description: Description | None) -> str:
    if description is None:
        return "unknown until it answers"
    facts = [shown(description.engine)] if description.engine else []
    if description.precision:
        facts.append(shown(description.precision.upper()))
    if description.model_bytes is not None:
        facts.append(f"{description.model_bytes / 1e6:.1f} MB")
    if description.density is not None and description.density < 1:
        facts.append(f"{100 * description.density:.0f} % of the weights")
    if description.f1 is not None:
        on = f' title="on {shown(description.dataset)}"' if description.dataset else ""
        facts.append(f"<span{on}>F1 {description.f1:.1f}</span>")
    elif description.precision:
        facts.append("F1 not measured")
    return "".join(f"<span>{fact}</span>" for fact in facts)


def _pace(reply: Reply, baseline: Outcome | None) -> str:
    if reply.milliseconds is None:
        return '<p class="pace">time not told</p>'
    times = _times(reply, baseline) if isinstance(baseline, Reply) else ""
    beside = f'<span class="times">{times} as fast</span>' if times else ""
    return f'<p class="pace"><b>{_ms(reply.milliseconds)}</b>{beside}</p>'


def _times(reply: Reply, baseline: Reply) -> str:
    if not reply.milliseconds or not baseline.milliseconds:
        return ""
    return f"{baseline.milliseconds / reply.milliseconds:.1f} ×"


def _stages(reply: Reply, longest: float) -> str:
    """A bar of the stages' shares of time, as long as the whole is to the slowest's."""
    if not reply.stages:
        return ""
    known = [stage for stage in STAGES if stage in reply.stages]
    others = [stage for stage in reply.stages if stage not in STAGES]
    parts, legend = [], []
    for stage in (*known, *others):
        kind = stage if stage in STAGES else "other"
        spent = reply.stages[stage]
        width = 100 * spent / longest if longest else 0
        parts.append(f'<i class="{kind}" style="width:{width:.2f}%"></i>')
        legend.append(f'<li><i class="{kind}"></i>{shown(stage)} <b>{_ms(spent)}</b></li>')
    tokens = f'<li class="tokens">{reply.sequence_length} tokens</li>'
    return (
        f'<div class="bar" aria-hidden="true">{"".join(parts)}</div>'
        f'<ul class="stages" aria-label="time on the server">{"".join(legend)}{tokens}</ul>'
    )


def _more(reply: Reply, text: str, whole: bool) -> str:
    rows = "".join(_row(place, each) for place, each in enumerate(reply.candidates, 1))
    table = (
        f"<details><summary>{len(reply.candidates)} best answers</summary>"
        f"<table><thead><tr><th>#</th><th>answer</th><th>score</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></details>"
    )
    full = (
        "<details><summary>the whole text</summary>"
        f'<p class="whole" tabindex="0">{marked(text, reply.best.start, reply.best.end)}</p>'
        "</details>"
    )
    return f'<div class="more">{table}{full if whole else ""}</div>'


def _row(place: int, candidate: Candidate) -> str:
    words = shown(candidate.text) if candidate.text else f"<em>{NO_ANSWER}</em>"
    return f"<tr><td>{place}</td><td>{words}</td><td>{candidate.score:.3f}</td></tr>"


def _ms(milliseconds: float) -> str:
    if milliseconds >= 100:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds:.1f} ms" if milliseconds >= 1 else f"{milliseconds:.2f} ms"
