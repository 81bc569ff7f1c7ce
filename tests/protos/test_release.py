"""What a release says of itself survives being signed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical

from outrider_protos.errors import MalformedMessage
from outrider_protos.release import (
    Chunks,
    GateFigures,
    Golden,
    Release,
    Requirements,
    adapter_path,
    delta_path,
)

shares = st.floats(min_value=0, max_value=1)


def release(share: float, speed: float) -> Release:
    return Release(
        number=7,
        mould="a" * 64,
        chunks=Chunks(chunk_bytes=1, digests=bytes(32)),
        requirements=Requirements(architecture="llama", tokenizer="ab", runtime="0.3.36"),
        gate=GateFigures(
            answers=3,
            acceptance=share,
            before=share,
            difference_low=-share,
            tokens_per_s=speed,
            domains={"sql": (share, share)},
        ),
        golden=(Golden(tokens=(1, 2), choices=(2, None)),),
    )


@given(share=shares, speed=st.floats(min_value=0, allow_infinity=False))
def test_every_figure_comes_back_from_canonical_json(share: float, speed: float) -> None:
    """Which has no fractions."""
    said = release(share, speed)
    signed = encode_canonical(said.custom())
    assert signed is not None
    assert Release.parse(json.loads(signed)) == said


@pytest.mark.parametrize("wrong", ["nan", "inf", "1.5", "much", "-0.1", 2, None, True])
def test_figures_that_are_none_are_refused(wrong: Any) -> None:
    custom = release(0.5, 1.0).custom()
    custom["gate"]["acceptance"] = wrong
    with pytest.raises(MalformedMessage, match=r"gate\.acceptance"):
        Release.parse(custom)


def test_paths_say_what_a_file_is() -> None:
    assert delta_path("demo", 3, 0) == "demo/3.from-0.delta"
    assert adapter_path("demo", 3) == "demo/3.adapter.gguf"
