"""Slow, literal readings of docs/noise.md in plain Python integers and loops."""

import math
from collections.abc import Sequence

from outrider_protos.words import Sampling

WORD = (1 << 64) - 1


def mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def noise_key(seed: int, index: int) -> int:
    return mix(seed ^ mix((index * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) & WORD))


def noise_hash(seed: int, index: int, token: int) -> int:
    return mix((noise_key(seed, index) + token * 0x9E3779B97F4A7C15) & WORD) >> 32


def noise_gumbel(seed: int, index: int, token: int) -> float:
    uniform = (noise_hash(seed, index, token) + 1) / (2**32 + 1)
    return -math.log(-math.log(uniform))


def ranking(logits: Sequence[float], sampling: Sampling, index: int) -> list[int]:
    """All tokens the filters leave, in falling order of noisy score."""
    possible = [token for token, logit in enumerate(logits) if logit > -math.inf]
    likeliest = sorted(possible, key=lambda token: (-logits[token], token))
    if sampling.temperature == 0:
        return likeliest
    most = max(logits)
    left = _after_top_p(_after_top_k(likeliest, sampling), logits, sampling)
    scores = {
        token: (logits[token] - most) / sampling.temperature
        + noise_gumbel(sampling.seed, index, token)
        for token in left
    }
    return sorted(left, key=lambda token: (-scores[token], token))


def _after_top_k(likeliest: list[int], sampling: Sampling) -> list[int]:
    return likeliest if sampling.top_k is None else likeliest[: sampling.top_k]


def _after_top_p(likeliest: list[int], logits: Sequence[float], sampling: Sampling) -> list[int]:
    if sampling.top_p is None:
        return likeliest
    most = logits[likeliest[0]]
    weights = [math.exp((logits[token] - most) / sampling.temperature) for token in likeliest]
    total = math.fsum(weights)
    left, before = [], 0.0
    for token, weight in zip(likeliest, weights, strict=True):
        if before >= sampling.top_p * total:
            break
        left.append(token)
        before += weight
    return left
