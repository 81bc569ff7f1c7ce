"""The fingerprint differs exactly where two tokenizers differ."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_protos.fingerprint import TokenizerFacts, fingerprint, probe_texts, real_tokens

FACTS = TokenizerFacts(
    kind="bpe",
    tokens=("<s>", "a", "b", None, "ab", "Ġé"),
    merges=("a b", "Ġ é"),
)

facts = st.builds(
    TokenizerFacts,
    kind=st.sampled_from(["bpe", "spm"]),
    tokens=st.lists(st.none() | st.text(max_size=3), max_size=5).map(tuple),
    merges=st.lists(st.text(max_size=3), max_size=3).map(tuple),
)


def test_the_published_vector_holds() -> None:
    assert fingerprint(FACTS).hex() == "0cd050903ec833252c00d3ab4473d8d0"


@pytest.mark.parametrize(
    "other",
    [
        replace(FACTS, kind="spm"),
        replace(FACTS, tokens=("<s>", "a", "b", "c", "ab", "Ġé")),
        replace(FACTS, tokens=("<s>", "b", "a", None, "ab", "Ġé")),
        replace(FACTS, tokens=(*FACTS.tokens, "more")),
        replace(FACTS, merges=("Ġ é", "a b")),
        replace(FACTS, merges=("a b",)),
    ],
)
def test_every_difference_shows(other: TokenizerFacts) -> None:
    assert fingerprint(other) != fingerprint(FACTS)


@pytest.mark.parametrize(
    "tokens",
    [
        (*FACTS.tokens, "[PAD6]", "[PAD7]"),
        (*FACTS.tokens, None, None),
        ("<s>", "a", "b", "[PAD3]", "ab", "Ġé"),
    ],
)
def test_padding_does_not_show(tokens: tuple[str | None, ...]) -> None:
    assert fingerprint(replace(FACTS, tokens=tokens)) == fingerprint(FACTS)


def test_a_token_that_only_looks_like_padding_is_a_token() -> None:
    assert real_tokens(("a", "[PAD7]", "[PAD]")) == ("a", "[PAD7]", "[PAD]")


@given(facts, facts)
def test_equal_fingerprints_mean_equal_facts(one: TokenizerFacts, other: TokenizerFacts) -> None:
    bare, other_bare = (replace(each, tokens=real_tokens(each.tokens)) for each in (one, other))
    assert (fingerprint(one) == fingerprint(other)) == (bare == other_bare)


def test_probes_are_different_texts_that_survive_utf8() -> None:
    texts = probe_texts()
    assert len(set(texts)) == len(texts) == 12
    assert all(text.encode().decode() == text for text in texts)
