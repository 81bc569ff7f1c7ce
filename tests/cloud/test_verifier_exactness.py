"""Whatever is proposed, and however words and forwards interleave: the log is the target's own."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from outrider_cloud.verifier import VerifierSettings
from outrider_protos.words import Open, Sampling
from tests.simulators.rim import Rim, ScriptedDevice
from tests.simulators.scene import Scene
from tests.simulators.target import SMALL

SAMPLINGS = [
    Sampling(),
    Sampling(temperature=1.0, seed=7),
    Sampling(temperature=0.7, top_k=4, seed=11),
    Sampling(temperature=1.3, top_p=0.8, seed=(1 << 64) - 1),
]
TERMS = Open(session=bytes(16), keep=0, length=0, digest=b"", max_length=40)

terms = st.builds(
    replace,
    st.just(TERMS),
    max_length=st.integers(31, 120),
    stop_ids=st.sampled_from([(), (5,), (3, 9)]),
    sampling=st.sampled_from(SAMPLINGS),
    patience_ms=st.sampled_from([None, None, 0.0, 15.0]),
    run_ahead=st.sampled_from([0, 3, 50]),
)
prompts = st.lists(st.integers(0, 11), min_size=1, max_size=30)
acts = st.sampled_from(
    [
        *["chain", "chain", "chain", "tree", "late", "ask", "ack", "listen", "listen"],
        *["turn", "turn", "turn", "wait", "fail", "reopen", "leave"],
    ]
)
scripts = st.lists(
    st.tuples(acts, st.integers(0, 2), st.integers(0, 1 << 30)), min_size=5, max_size=60
)


def check(scene: Scene) -> None:
    scene.finish()
    for device, text, reason in zip(scene.devices, scene.texts, scene.reasons, strict=True):
        assert device.log == text
        assert device.finish is reason


@settings(max_examples=150, deadline=None)
@given(terms, prompts, scripts)
def test_one_session_writes_what_the_target_writes_alone(
    term: Open, prompt: list[int], script: list[tuple[str, int, int]]
) -> None:
    rim = Rim()
    device = ScriptedDevice(rim, 1, term, prompt)
    scene = Scene(rim, [device])
    device.open(keep=0)
    for act in script:
        scene.act(*act)
    check(scene)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(terms, prompts), min_size=2, max_size=3),
    scripts,
    st.integers(24, 40),
    st.integers(4, 40),
    st.integers(1, 6),
)
def test_sessions_that_crowd_each_other_out_write_what_each_writes_alone(
    parts: list[tuple[Open, list[int]]],
    script: list[tuple[str, int, int]],
    pages: int,
    rows: int,
    nodes: int,
) -> None:
    limits = replace(SMALL, pages=pages, context_tokens=4 * 24)
    bounds = VerifierSettings(forward_tokens=rows, judge_nodes=nodes)
    rim = Rim(limits, bounds, row_s=0.001)
    devices = [
        ScriptedDevice(rim, number, replace(term, session=bytes([number] * 16)), prompt)
        for number, (term, prompt) in enumerate(parts, 1)
    ]
    scene = Scene(rim, devices)
    for device in devices:
        device.open(keep=0)
    for act in script:
        scene.act(*act)
    check(scene)
