"""Broken frames: few of the many that fuzz_frames.py can run."""

from fuzz_frames import case, run


def test_fuzzed_frames():
    summary = run(cases=2_000, seed=2)
    assert summary.failures == []
    assert summary.accepted > 100
    assert summary.refused.keys() == {1002, 1007, 1009}
    assert summary.events > 1000


def test_the_same_seed_gives_the_same_case():
    assert case(7, 11) == case(7, 11)
    assert case(7, 11) != case(7, 12)
    _, data, pieces = case(7, 11)
    assert b"".join(pieces) == data
