"""Broken requests: few of the many that fuzz.py can run."""

import random

import pytest
from fuzz import MUTATIONS, SAMPLES, case, run


def test_three_thousand_cases():
    summary = run(cases=3000, seed=7)
    shown = [f"{text}: {data!r}" for _, text, data in summary.failures]
    assert not shown, "\n".join(shown)
    # A fuzzer that is always refused, or never, tests nothing.
    assert summary.accepted > 300
    assert summary.refused[400] > 300


def test_a_case_can_be_repeated():
    assert case(1, 5) == case(1, 5)
    assert case(1, 5) != case(2, 5)
    for number in range(200):
        data, pieces = case(1, number)
        assert b"".join(pieces) == data
        assert b"" not in pieces


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_every_mutation_changes_something(mutate):
    chance = random.Random(1)
    assert any(mutate(sample, chance) != sample for sample in SAMPLES)
