"""When BOSHNAS has converged: a function of the history alone."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.records import Trial
from explorer.search import POLICIES, Candidates, Capability, make_policy, policies_with

WITH_CONVERGENCE = policies_with(Capability.CONVERGENCE)
COUNT = 40
RNG = np.random.default_rng(0)
CANDIDATES = Candidates(
    tuple(f"a{i}" for i in range(COUNT)), RNG.normal(size=(COUNT, 3)), np.zeros((COUNT, 1), dtype=np.int64)
)
SETTINGS = {"initial": 4, "patience": 2, "iteration": 3}


def told(values, policy="boshnas", **settings):
    made = make_policy(policy, CANDIDATES, 0, {**SETTINGS, **settings})
    made.tell(trials(values))
    return made


def trials(values):
    return [
        Trial(i, f"a{i}", value) if isinstance(value, float) else Trial(i, f"a{i}", failed=value == "failed")
        for i, value in enumerate(values)
    ]


@pytest.mark.parametrize("policy", WITH_CONVERGENCE)
@pytest.mark.parametrize(
    ("values", "converged"),
    [
        ([], False),
        ([1.0, 0.0, 0.0, 0.0] + [0.5] * 5, False),  # the initial design does not count
        ([1.0, 0.0, 0.0, 0.0] + [0.5] * 6, True),
        ([1.0, 0.0, 0.0, 0.0] + [0.5] * 5 + [1.5], False),
        ([1.0, 0.0, 0.0, 0.0] + [0.5] * 5 + [1.5] + [1.5] * 6, True),  # as good is not better
        ([1.0, 0.0, 0.0, 0.0] + [0.5] * 5 + ["failed"] * 9, False),  # nothing was learned from those
        ([1.0, 0.0, 0.0, 0.0] + [0.5] * 5 + ["running", 0.2], True),
        ([-1.0] * 10, True),
        ([float("nan")] * 20, False),
    ],
)
def test_converged_after_patience_iterations_without_a_better_one(policy, values, converged):
    assert told(values, policy).converged is converged


def test_trials_of_an_earlier_search_set_the_mark_but_do_not_count():
    values = [1.0, *[0.0] * 20]
    assert told(values).converged
    assert not told(values, began=21).converged
    assert not told([*values, *[0.9] * 5], began=21).converged
    assert told([*values, *[0.9] * 6], began=21).converged
    assert not told([*values, *[0.9] * 5, 1.1], began=21).converged


def test_neither_order_nor_grouping_of_tell_nor_resuming_matters():
    rng = np.random.default_rng(1)
    for _ in range(20):
        values = rng.random(int(rng.integers(5, 20))).round(1).tolist()
        whole = told(values)
        parts = make_policy("boshnas", CANDIDATES, 0, SETTINGS)
        for place in rng.permutation(len(values)):
            parts.tell([trials(values)[place]])
        again = make_policy("boshnas", CANDIDATES, 0, SETTINGS)
        again.tell(whole.trials)
        assert whole.converged == parts.converged == again.converged == by_hand(values)


def by_hand(values):
    """Converged if no value of the last six, all after the initial design, is above all values before them."""
    before, last = values[:-6], values[-6:]
    return len(values) >= 10 and max(before) >= max(last)


def test_the_other_policies_never_say_so():
    values = [1.0, *[0.0] * 30]
    for name in set(POLICIES) - {*WITH_CONVERGENCE, "gp", "tpe", "nsga2"}:
        made = make_policy(name, CANDIDATES, 0)
        made.tell(trials(values))
        assert made.converged is False
        assert made.aleatoric(["a0"]) is None


def test_a_patience_of_nothing_is_refused():
    with pytest.raises(InputError, match="patience"):
        make_policy("boshnas", CANDIDATES, 0, {"patience": 0})


@pytest.mark.parametrize("policy", WITH_CONVERGENCE)
def test_chance_is_what_the_proposals_say(policy):
    made = told(RNG.random(12).tolist(), policy, alpha=0.0, beta=0.0)
    (proposal,) = made.ask(1)
    np.testing.assert_allclose(made.aleatoric([proposal.architecture]), [proposal.acquisition["aleatoric"]])
    assert told([0.5, 0.6], policy).aleatoric(["a0"]) is None
