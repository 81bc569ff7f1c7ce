"""Exact mode with the real GGUF, the real server and transformers: the target's own text."""

import asyncio

import pytest

from outrider_edge.device import Device
from outrider_edge.options import Mode, Options
from outrider_edge.policy import Shape
from outrider_protos.words import FinishReason, Sampling
from tests.e2e.pair import Judge, prompts

CHAIN = Shape()
TREE = Shape(span=3, window=6, width=3, branches=2)
GREEDY = Sampling()
SAMPLED = Sampling(temperature=0.9, top_k=40, top_p=0.95, seed=7)
MAX_TOKENS = 80


def options(shape: Shape, sampling: Sampling, patience_ms: float | None = None) -> Options:
    return Options(
        max_tokens=MAX_TOKENS,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        seed=sampling.seed,
        shape=shape,
        patience_ms=patience_ms,
    )


@pytest.mark.parametrize("patience_ms", [None, 0.0], ids=["cost-first", "latency-first"])
@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("shape", [CHAIN, TREE], ids=["chain", "tree"])
def test_the_answer_is_the_targets(
    device: Device, judge: Judge, shape: Shape, sampling: Sampling, patience_ms: float | None
) -> None:
    session = device.session(options(shape, sampling, patience_ms))
    for prompt in prompts("english", "python", "sql", "japanese", count=1):
        session.messages.clear()
        result = session.ask(prompt).result()
        assert judge.differences(result, sampling, MAX_TOKENS) == []
    session.close()


def test_a_useful_draft_saves_passes(device: Device) -> None:
    session = device.session(options(CHAIN, GREEDY))
    tokens = passes = 0
    for prompt in prompts("english", "python", count=4):
        session.messages.clear()
        result = session.ask(prompt).result()
        assert result.reason is FinishReason.END_TOKEN
        tokens += len(result.tokens)
        passes += result.tally.commits
    session.close()
    assert passes < 0.6 * tokens


def test_many_sessions_at_once_each_get_what_they_get_alone(device: Device) -> None:
    questions = prompts("english", "python", "vietnamese", count=2)

    async def together() -> list[str]:
        sessions = [device.session(options(CHAIN, SAMPLED)) for _ in questions]
        answers = [s.ask(q) for s, q in zip(sessions, questions, strict=True)]
        results = await asyncio.gather(*(a.aresult() for a in answers))
        for session in sessions:
            session.close()
        return [r.text for r in results]

    alone = []
    session = device.session(options(CHAIN, SAMPLED))
    for question in questions:
        session.messages.clear()
        alone.append(session.ask(question).result().text)
    session.close()
    assert asyncio.run(together()) == alone


def test_all_readings_of_an_answer_agree(device: Device) -> None:
    (prompt,) = prompts("english", count=1)
    session = device.session(options(CHAIN, GREEDY))

    async def pieces() -> str:
        return "".join([piece async for piece in session.ask(prompt)])

    first = session.ask(prompt)
    text = "".join(first)
    assert text == first.result().text
    session.messages.clear()
    assert asyncio.run(pieces()) == text
    session.close()


def test_a_conversation_reuses_what_both_sides_have(device: Device) -> None:
    first, second = prompts("english", count=2)
    session = device.session(options(CHAIN, GREEDY))
    session.ask(first).result()
    before = device.meter.traffic
    result = session.ask(second).result()
    sent = (device.meter.traffic - before).bytes_sent
    assert len(result.prompt) > 2 * len(second) / 5
    assert len(session.messages) == 4
    # The first turn is not sent again: two bytes a token for the second, and its proposals.
    assert sent < 60 + 2 * len(result.prompt) / 2 + 12 * len(result.tokens)
    session.close()


def test_modes_differ_only_in_who_writes(device: Device) -> None:
    (prompt,) = prompts("python", count=1)
    texts = {}
    for mode in (Mode.EXACT, Mode.CLOUD):
        session = device.session(Options(mode=mode, max_tokens=MAX_TOKENS))
        texts[mode] = session.ask(prompt).result().text
        session.close()
    assert texts[Mode.EXACT] == texts[Mode.CLOUD]


def test_a_stop_string_cuts_the_text(device: Device) -> None:
    (prompt,) = prompts("english", count=1)
    session = device.session(Options(max_tokens=MAX_TOKENS))
    whole = session.ask(prompt).result().text
    session.close()
    stop = whole[len(whole) // 2 :][:4]
    session = device.session(Options(max_tokens=MAX_TOKENS, stop=(stop,)))
    answer = session.ask(prompt)
    text = "".join(answer)
    result = answer.result()
    assert text == whole[: whole.index(stop)] == result.text
    pieces = [device.model.vocabulary.piece(token).decode() for token in result.tokens]
    assert len("".join(pieces[:-1])) < len(text) <= len("".join(pieces))
    assert len(result.origins) == len(result.tokens)
    session.close()
