"""Every committed position of a device that consents leaves a trace, of nobody else any."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings

from outrider_cloud.records.record import Fate, Record
from outrider_protos.words import Ack, Distance, Open, Provenance, Rollback, Sampling
from tests.cloud.test_verifier_exactness import prompts, scripts, terms
from tests.simulators.rim import Rim, ScriptedDevice
from tests.simulators.scene import Scene

PROVENANCE = Provenance(domain="roads", draft="d", template="t", fallback=0.5)
TERMS = Open(
    session=bytes(16),
    keep=0,
    length=0,
    digest=b"",
    max_length=30,
    consent=True,
    provenance=PROVENANCE,
)
PROMPT = [3, 1, 4, 1, 5]


def recorded(rim: Rim) -> list[Record]:
    return rim.records + rim.assembly.rest()


@settings(max_examples=80, deadline=None)
@given(terms, prompts, scripts)
def test_records_are_the_answer_with_the_targets_mind(
    term: Open, prompt: list[int], script: list[tuple[str, int, int]]
) -> None:
    rim = Rim()
    device = ScriptedDevice(rim, 1, replace(term, consent=True, provenance=PROVENANCE), prompt)
    scene = Scene(rim, [device])
    device.open(keep=0)
    for act in script:
        scene.act(*act)
    scene.finish()
    text, covered = scene.texts[0], set[int]()
    for record in recorded(rim):
        start = len(record.prompt)
        assert list(record.prompt + record.tokens) == text[: start + len(record.tokens)]
        assert record.choices == record.tokens
        for place in range(len(record.tokens)):
            row = rim.target.logits(text[: start + place])
            assert record.tops.tokens[place][0] == row.argmax()
        covered |= set(range(start, start + len(record.tokens)))
    assert covered == set(range(len(prompt), len(text)))
    assert rim.assembly.left_out == 0


@settings(max_examples=20, deadline=None)
@given(terms, prompts, scripts)
def test_without_consent_there_is_no_trace(
    term: Open, prompt: list[int], script: list[tuple[str, int, int]]
) -> None:
    rim = Rim()
    scene = Scene(rim, [ScriptedDevice(rim, 1, term, prompt)])
    scene.devices[0].open(keep=0)
    for act in script:
        scene.act(*act)
    scene.finish()
    assert recorded(rim) == []


def device_with(terms: Open) -> tuple[Rim, ScriptedDevice, list[int]]:
    """Opened, with its first token committed; and the whole text."""
    rim = Rim()
    text = [*PROMPT, *rim.target.alone(PROMPT, terms.sampling, 30).tokens]
    device = ScriptedDevice(rim, 1, terms, list(PROMPT))
    device.open(keep=0)
    device.listen()
    rim.run()
    device.listen()
    return rim, device, text


def test_a_fate_tells_proposals_that_stood_from_those_that_did_not() -> None:
    rim, device, text = device_with(TERMS)
    device.begin_epoch()
    device.propose([text[6], text[7], (text[8] + 1) % 12])
    rim.run()
    device.listen()
    device.ask()
    rim.run()
    (record,) = recorded(rim)
    own, stood, corrected = Fate.OWN, Fate.ACCEPTED, Fate.CORRECTED
    assert record.fates == (own, stood, stood, corrected, own)


def test_a_record_says_whose_it_is_and_how_it_was_made() -> None:
    sampling = Sampling(temperature=0.5, seed=9)
    rim, _, _ = device_with(replace(TERMS, sampling=sampling))
    rim.hear(1, Ack(6))
    (record,) = recorded(rim)
    assert (record.tenant, record.domain, record.fallback) == ("anna", "roads", 0.5)
    assert (record.versions.target, record.versions.draft) == ("simulated", "d")
    assert record.versions.template == "t"
    assert (record.sampling, record.rollback, record.exact) == (sampling, None, True)
    assert list(record.prompt) == PROMPT
    assert record.time_s == 100.01
    assert np.allclose(np.exp(record.tops.logprobs).sum(1), 1)


def test_big_little_keeps_the_targets_choice_beside_what_stood() -> None:
    rule = Rollback(threshold=1e6, distance=Distance.SURPRISE)
    rim, device, text = device_with(replace(TERMS, rollback=rule))
    wrong = (text[6] + 1) % 12
    device.begin_epoch()
    device.propose([wrong])
    rim.run()
    (record,) = recorded(rim)
    assert record.tokens[1] == wrong
    assert record.choices[1] == text[6]
    assert record.fates[:2] == (Fate.OWN, Fate.ACCEPTED)
    assert not record.exact


def test_a_next_turn_is_a_record_of_its_own() -> None:
    rim, device, text = device_with(TERMS)
    device.log = [*device.log, 7, 8]
    device.open()
    device.listen()
    rim.run()
    first, second = recorded(rim)
    assert list(first.prompt) == PROMPT
    assert list(second.prompt) == [*PROMPT, text[5], 7, 8]
