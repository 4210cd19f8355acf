"""From the store to the frames that figures are drawn of, for the app and the command line alike.

Times are seconds since the epoch; objectives are larger where better. What a study has no value for is left out: trials
that wait, run, failed or went stale, and values that are not finite.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.analysis.importance import choices_frame
from explorer.analysis.score_kinds import known_objective
from explorer.analysis.tables import Spread, architectures_frame, map_frame
from explorer.errors import InputError
from explorer.pareto import pareto_set
from explorer.records import Prediction
from explorer.space.formats import from_json
from explorer.studies.candidates import space_candidates
from explorer.studies.driver import StudyDriver
from graphstore import GraphStore
from graphstore.records import ArchitectureSummary, StudyRecord, StudyState, TrialRecord, TrialStatus

SEVERAL = 3
"""Finished studies of one policy from which on they are drawn as a median with a band."""
RESAMPLES = 1000
BAND = (0.025, 0.975)
"""Quantiles of the bootstrapped median that a band runs between."""
FACTS = ("parameters", "flops", "depth", "heterogeneity")
"""What a study's values can be set against without measurements."""

Trials = Mapping[str, Sequence[TrialRecord]]
"""Name of a study → its trials, by number."""


@runtime_checkable
class HasPosterior(Protocol):
    """A policy with a posterior over all candidates."""

    def posterior(self) -> tuple[Prediction, NDArray[np.float64]]:
        """Return the prediction and the upper confidence bound, ``[N]`` each, in the units of the objective."""


def comparable(study: StudyRecord) -> tuple[object, ...]:
    """What two studies must share for their values to be shown side by side."""
    settings = study.settings
    known = bool(settings.get("from_scores"))
    keys = ("recipe", "tasks", "data", "task_files", "supernet")
    training = () if known else tuple(repr(settings.get(key)) for key in keys)
    return study.space, study.objective, known, settings.get("fidelity"), *training


def find_studies(store: GraphStore, patterns: Sequence[str]) -> list[StudyRecord]:
    """Studies by name, or by a pattern with ``*`` and ``?``; each once, those of a pattern by name.

    Raises:
        InputError: nothing fits one of the patterns, or their values are not comparable.
    """
    known = {study.name: study for study in store.studies()}
    found: dict[str, StudyRecord] = {}
    for pattern in patterns:
        names = [pattern] if pattern in known else fnmatch.filter(sorted(known), pattern)
        if not names:
            rule = f"be one of {', '.join(sorted(known)) or 'none yet'}, or a pattern of them such as 'nano-*'"
            raise InputError("study", rule, pattern, "See `archex studies`.")
        found |= {name: known[name] for name in names}
    studies = list(found.values())
    for study in studies[1:]:
        if comparable(study) != comparable(studies[0]):
            rule = f"be comparable with {studies[0].name} (same space, objective and training)"
            raise InputError("study", rule, study.name, "Draw it by itself.")
    return studies


def value_of(trial: TrialRecord) -> float | None:
    """A trial's value if it is complete and finite."""
    value = trial.value
    return value if trial.state is TrialStatus.COMPLETE and value is not None and math.isfinite(value) else None


def history_frame(studies: Sequence[StudyRecord], trials: Trials, best_known: float | None = None) -> pd.DataFrame:
    """Best value after each evaluation, in the order in which they ended.

    Args:
        studies: the studies.
        trials: of each.
        best_known: the best value there is, if it is known.

    Returns:
        ``study, policy, seed, done, evaluations, best, regret``; ``done`` is whether the study has used up its budget,
        ``regret`` is ``best_known`` less ``best``, missing where that is not known.
    """
    rows = []
    for study in studies:
        ended = sorted((t for t in trials[study.name] if value_of(t) is not None), key=lambda t: (t.finished, t.number))
        best = -math.inf
        for number, trial in enumerate(ended, start=1):
            best = max(best, float(trial.value or 0.0))
            regret = math.nan if best_known is None else best_known - best
            done = study.state is StudyState.DONE
            rows.append((study.name, study.policy, study.seed, done, number, best, regret))
    return pd.DataFrame(rows, columns=["study", "policy", "seed", "done", "evaluations", "best", "regret"])


def history_bands(curves: pd.DataFrame, column: str = "best", seed: int = 0) -> pd.DataFrame:
    """Median over the finished studies of a policy, with a 95 % bootstrap interval of that median.

    Args:
        curves: as ``history_frame`` gives them.
        column: ``best`` or ``regret``.
        seed: of the bootstrap.

    Returns:
        ``policy, evaluations, median, low, high, studies``, as far as all finished studies of the policy have got; only
        policies with at least three of them.
    """
    names = ["policy", "evaluations", "median", "low", "high", "studies"]
    frames = []
    for policy, rows in curves[curves["done"]].groupby("policy", sort=True):
        table = rows.pivot_table(index="evaluations", columns="study", values=column).dropna()
        count = table.shape[1]
        if count < SEVERAL or table.empty:
            continue
        drawn = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
        values = table.to_numpy()
        medians = np.stack([np.median(values[:, sample], axis=1) for sample in drawn])  # [B, evaluations]
        low, high = np.quantile(medians, BAND, axis=0)
        band = {"policy": policy, "evaluations": table.index, "median": np.median(values, axis=1)}
        frames.append(pd.DataFrame(band | {"low": low, "high": high, "studies": count}))
    return pd.concat(frames, ignore_index=True)[names] if frames else pd.DataFrame(columns=names)


def best_known(store: GraphStore, study: StudyRecord) -> float | None:
    """The best value a study on known scores can find; ``None`` where it trains, as nobody knows it then.

    Raises:
        DataError: its scores are no longer in the store.
    """
    if not study.settings.get("from_scores"):
        return None
    return max(known_objective(store, study.space, study.objective, study.settings.get("fidelity")).values())


def trial_values(trials: Trials) -> pd.Series:
    """Mean value of each architecture over the studies' complete trials, indexed by id, in order of first trial."""
    values: dict[str, list[float]] = {}
    for rows in trials.values():
        for trial in rows:
            value = value_of(trial)
            if value is not None:
                values.setdefault(trial.architecture, []).append(value)
    means = [float(np.mean(group)) for group in values.values()]
    return pd.Series(means, pd.Index(values, name="id", dtype=object), dtype=float, name="value")


def trial_choices(store: GraphStore, values: pd.Series) -> pd.DataFrame:
    """Design choices of evaluated architectures, as ``choices_frame`` gives them, in the order of ``values``."""
    return choices_frame({s.id: from_json(s.spec) for s in store.summaries(ids=[str(id) for id in values.index])})


def timeline_frame(studies: Sequence[StudyRecord], trials: Trials, now: float) -> pd.DataFrame:
    """When each trial ran. The store keeps the last attempt's start, and how many there were.

    Args:
        studies: the studies.
        trials: of each.
        now: until when running trials are drawn.

    Returns:
        One row per trial that was ever started, by start: ``study, number, architecture, state, attempt, host, lane,
        started, ended, value, reason``. ``ended`` of a stale or given-back trial, whose end nobody noted, is its start.
        ``lane`` numbers from 0, within study and host, what ran at the same time.
    """
    rows = []
    for study in studies:
        begun = [trial for trial in trials[study.name] if trial.started > 0]
        free: dict[str, list[float]] = {}  # by host: when each lane becomes free
        for trial in sorted(begun, key=lambda t: (t.started, t.number)):
            host = str(trial.info.get("host") or trial.owner.rpartition(":")[0] or "")
            open_end = max(now, trial.started) if trial.state is TrialStatus.RUNNING else trial.started
            end = max(trial.finished, trial.started) if trial.finished > 0 else open_end
            lanes = free.setdefault(host, [])
            lane = next((i for i, until in enumerate(lanes) if until <= trial.started), len(lanes))
            lanes[lane : lane + 1] = [end]
            value = value_of(trial)
            told = (math.nan if value is None else value, trial.reason)
            place = (study.name, trial.number, trial.architecture, trial.state.value, trial.attempt, host, lane)
            rows.append((*place, trial.started, end, *told))
    names = ["study", "number", "architecture", "state", "attempt", "host", "lane", "started", "ended", "value"]
    return pd.DataFrame(rows, columns=[*names, "reason"])


def pareto_points(store: GraphStore, values: pd.Series, against: Sequence[str]) -> tuple[pd.DataFrame, pd.Index]:
    """Evaluated architectures with what their values are set against, and which of them make the Pareto set.

    Args:
        store: where they are.
        values: of each architecture; more is better.
        against: facts (``parameters``, …) or measured quantities (``DEVICE QUANTITY``); less is better.

    Returns:
        The table of the architectures that have all of them, with ``value`` and a column for each of ``against``; and
        the ids of the Pareto set among them.

    Raises:
        InputError: something of ``against`` is neither a fact nor measured.
    """
    ids = [str(id) for id in values.index]
    summaries = store.summaries(ids=ids)
    points = architectures_frame(summaries)
    points["value"] = values.reindex(points.index)
    for name in against:
        points[name] = _amounts(store, name, summaries)
    points = points.dropna(subset=list(against))
    gains = np.column_stack([points["value"].to_numpy(float), *(-points[name].to_numpy(float) for name in against)])
    return points, points.index[pareto_set(gains)]


def _amounts(store: GraphStore, name: str, summaries: Sequence[ArchitectureSummary]) -> list[float]:
    if name in FACTS:
        return [float(getattr(summary, name)) for summary in summaries]
    measured = {(m.architecture, f"{m.device} {m.quantity}"): m.value for m in store.measurements()}
    if not any(known == name for _, known in measured):
        rule = f"be one of {', '.join([*FACTS, *sorted({known for _, known in measured})])}"
        raise InputError("against", rule, name, "Choose one of them, or measure it first.")
    return [measured.get((summary.id, name), math.nan) for summary in summaries]


def belief_frame(store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """What the study's policy believes of every candidate after some trials.

    Args:
        store: where the candidates are.
        study: the study.
        trials: what its policy is told.

    Returns:
        Indexed by id: ``mean, aleatoric, epistemic, ucb``, in the units of the objective.

    Raises:
        InputError: the policy has no belief, or not yet.
        DataError: the space's vectors or the study's scores are gone.
    """
    known = bool(study.settings.get("from_scores"))
    only = known_objective(store, study.space, study.objective, study.settings.get("fidelity")) if known else None
    driver = StudyDriver(store, study, space_candidates(store, study.space, only))
    policy = driver.policy
    if not isinstance(policy, HasPosterior):
        raise InputError("policy", "have a posterior to draw, as boshnas has", study.policy, "Choose another study.")
    driver.learn(trials)
    told, ucb = policy.posterior()
    columns = {"mean": told.mean, "aleatoric": told.aleatoric, "epistemic": told.epistemic, "ucb": ucb}
    return pd.DataFrame(columns, pd.Index(policy.candidates.ids, name="id", dtype=object))


def map_points(store: GraphStore, space: str) -> tuple[pd.DataFrame, Spread]:
    """The embedded architectures of a space with coordinates ``x`` and ``y``, and the axes' shares of the variance."""
    points, spread = map_frame(store.embeddings(space))
    return points.join(architectures_frame(store.summaries(space)), how="inner"), spread


def trial_points(trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """Trials for the map: ``number, id, state, value, origin``, by number."""
    rows = [(t.number, t.architecture, t.state.value, value_of(t), str(t.info.get("origin", ""))) for t in trials]
    frame = pd.DataFrame(rows, columns=["number", "id", "state", "value", "origin"])
    return frame.astype({"value": float})
