"""The audit against the target computed apart: what would each have chosen at every position?"""

from collections.abc import Iterator

import pytest

from outrider_edge.audit import Auditor
from outrider_edge.device import Device
from outrider_edge.options import Mode, Options
from outrider_protos import choice
from outrider_protos.words import Sampling
from tests.e2e.pair import Judge, prompts

SAMPLED = Sampling(temperature=0.8, seed=5)


@pytest.fixture(params=[Sampling(), SAMPLED], ids=["greedy", "sampled"])
def sampling(request: pytest.FixtureRequest) -> Sampling:
    chosen: Sampling = request.param
    return chosen


@pytest.fixture
def auditor(device: Device, sampling: Sampling) -> Iterator[Auditor]:
    with Auditor(device, sampling) as auditor:
        yield auditor


def options(mode: Mode, sampling: Sampling) -> Options:
    return Options(mode=mode, max_tokens=100, temperature=sampling.temperature, seed=sampling.seed)


@pytest.mark.parametrize("domain", ["japanese", "vietnamese"])
def test_the_targets_choices_along_a_local_answer_are_its_rows(
    device: Device, judge: Judge, auditor: Auditor, sampling: Sampling, domain: str
) -> None:
    session = device.session(options(Mode.LOCAL, sampling))
    result = session.ask(prompts(domain, count=1)[0]).result()
    session.close()
    start, log = len(result.prompt), result.prompt + result.tokens
    rows = judge.reference.rows(log)
    expected = [choice.choose(rows[at - 1], sampling, at) for at in range(start, len(log))]
    audit = auditor.audit(result, by_target=False)
    assert list(audit.target) == expected
    assert audit.draft == result.tokens  # they are the draft's own
    assert audit.target != result.tokens


def test_an_exact_answer_is_the_targets_choice_throughout(
    device: Device, auditor: Auditor, sampling: Sampling
) -> None:
    session = device.session(options(Mode.EXACT, sampling))
    result = session.ask(prompts("english", count=1)[0]).result()
    session.close()
    asked = auditor.audit(result, by_target=False)
    assert asked.target == result.tokens
    assert asked == auditor.audit(result, by_target=True)
    # What the draft wrote and the target let stand was the draft's choice.
    assert asked.agreed >= sum(origin.value == "draft" for origin in result.origins)
