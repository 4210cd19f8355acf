"""Data frames of studies, from which the app and the command line draw figures.

Times are seconds since the epoch; objectives are maximised. Trials without a finite value are left out.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.analysis.devices import find_device
from explorer.analysis.importance import choices_frame
from explorer.analysis.quantities import parse_quantity
from explorer.analysis.tables import Spread, architectures_frame, map_frame
from explorer.errors import InputError
from explorer.pareto import pareto_set
from explorer.records import Prediction
from explorer.space.formats import from_json
from explorer.studies.candidates import space_candidates
from explorer.studies.driver import StudyDriver, best_so_far, known_values, single_thread, value_of
from explorer.studies.spec import Known, StudySpec, Trained
from graphstore import GraphStore
from graphstore.queries import Fact, MeasurementKey
from graphstore.records import ArchitectureSummary, StudyRecord, StudyState, TrialRecord, TrialStatus

SEVERAL = 3
"""Smallest number of finished studies of one policy that are drawn as a median with a band."""
RESAMPLES = 1000
BAND = (0.025, 0.975)
"""Quantiles of the bootstrapped median that a band runs between."""

Trials = Mapping[str, Sequence[TrialRecord]]
"""Name of a study → its trials, by number."""


@runtime_checkable
class HasPosterior(Protocol):
    """A policy with a posterior over all candidates."""

    def posterior(self) -> tuple[Prediction, NDArray[np.float64]]:
        """Return the prediction and the upper confidence bound, ``[N]`` each, in the units of the objective."""


def comparable(study: StudyRecord) -> tuple[object, ...]:
    """Return what two studies must share for their values to be shown side by side."""
    spec = StudySpec.of(study)
    evaluation = spec.evaluation
    if isinstance(evaluation, Trained):  # Whose weights a training inherits is part of its scores' fidelity.
        evaluation = replace(evaluation, transfer=None, transfer_overlap=None, transfer_donor=None)
    return spec.space, spec.objective, evaluation


def find_studies(store: GraphStore, patterns: Sequence[str]) -> list[StudyRecord]:
    """Return studies by name, or by a pattern with ``*`` and ``?``; each once, those of a pattern sorted by name.

    Raises:
        InputError: no study matches one of the patterns, or the studies' values are not comparable.
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
            raise InputError("study", rule, study.name, "Draw it alone.")
    return studies


def history_frame(studies: Sequence[StudyRecord], trials: Trials, best_known: float | None = None) -> pd.DataFrame:
    """Return the best value after each evaluation, in the order in which they ended.

    Args:
        studies: the studies.
        trials: of each study.
        best_known: the best value of all candidates, if it is known.

    Returns:
        Columns ``study, policy, seed, done, evaluations, best, regret``; ``done`` is whether the study has ended, and
        ``regret`` is ``best_known`` minus ``best``, NaN if ``best_known`` is not known.
    """
    rows = []
    for study in studies:
        spec, done = StudySpec.of(study), study.state is StudyState.DONE
        for number, best in enumerate(best_so_far(trials[study.name]), start=1):
            regret = math.nan if best_known is None else best_known - best
            rows.append((study.name, spec.policy, spec.seed, done, number, best, regret))
    return pd.DataFrame(rows, columns=["study", "policy", "seed", "done", "evaluations", "best", "regret"])


def history_bands(curves: pd.DataFrame, column: str = "best", seed: int = 0) -> pd.DataFrame:
    """Return the median over the finished studies of each policy, with a 95 % bootstrap interval of that median.

    Args:
        curves: from ``history_frame``.
        column: ``best`` or ``regret``.
        seed: of the bootstrap.

    Returns:
        Columns ``policy, evaluations, median, low, high, studies``, up to the evaluations that all finished studies of
        the policy have; only policies with at least three finished studies.
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
    """Return the best value that a study on known scores can find; ``None`` for other studies, where it is unknown.

    Raises:
        DataError: its scores are no longer in the store.
    """
    spec = StudySpec.of(study)
    return max(known_values(store, spec).values()) if isinstance(spec.evaluation, Known) else None


def trial_values(trials: Trials) -> pd.Series:
    """Return the mean value of each architecture over the studies' complete trials, in order of first trial."""
    values: dict[str, list[float]] = {}
    for rows in trials.values():
        for trial in rows:
            value = value_of(trial)
            if value is not None:
                values.setdefault(trial.architecture, []).append(value)
    means = [float(np.mean(group)) for group in values.values()]
    return pd.Series(means, pd.Index(values, name="id", dtype=object), dtype=float, name="value")


def trial_choices(store: GraphStore, values: pd.Series) -> pd.DataFrame:
    """Return the design choices of evaluated architectures (see ``choices_frame``), in the order of ``values``."""
    return choices_frame({s.id: from_json(s.spec) for s in store.summaries(ids=[str(id) for id in values.index])})


def timeline_frame(studies: Sequence[StudyRecord], trials: Trials, now: float) -> pd.DataFrame:
    """Return when each trial ran. The store keeps the start of the last attempt, and the number of attempts.

    Args:
        studies: the studies.
        trials: of each study.
        now: end of running trials.

    Returns:
        One row per trial that was ever started, sorted by start: ``study, number, architecture, state, attempt, host,
        lane, started, ended, value, reason``. ``ended`` of a stale or given-back trial, whose end is not recorded, is
        its start. ``lane`` numbers the trials that ran at the same time, from 0, within study and host.
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
            outcome = (math.nan if value is None else value, trial.reason)
            place = (study.name, trial.number, trial.architecture, trial.state.value, trial.attempt, host, lane)
            rows.append((*place, trial.started, end, *outcome))
    names = ["study", "number", "architecture", "state", "attempt", "host", "lane", "started", "ended", "value"]
    return pd.DataFrame(rows, columns=[*names, "reason"])


def pareto_points(store: GraphStore, values: pd.Series, against: Sequence[str]) -> tuple[pd.DataFrame, pd.Index]:
    """Return evaluated architectures with their costs, and which of them form the Pareto front.

    Args:
        store: where the architectures are.
        values: value of each architecture; maximised.
        against: quantities to minimise: facts or measurements; see ``explorer.analysis.quantities``.

    Returns:
        The table of the architectures that have all costs, with ``value`` and a column for each of ``against``; and
        the ids of those on the Pareto front.

    Raises:
        InputError: a quantity is neither a fact nor measured.
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
    quantity = parse_quantity(name)
    if isinstance(quantity, Fact):
        return [float(getattr(summary, quantity)) for summary in summaries]
    if not isinstance(quantity, MeasurementKey):
        rule = f"be {', '.join(Fact)} or QUANTITY@DEVICE"
        raise InputError("against", rule, name, "Choose one of them; `archex devices` lists what was measured.")
    found = find_device(store, quantity.device, quantity.quantity)
    measured = {
        one.architecture: one.value
        for one in store.measurements()
        if (one.device, one.quantity) == (found.device, found.quantity)
    }
    return [measured.get(summary.id, math.nan) for summary in summaries]


def posterior_frame(store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """Return the posterior of a study's policy for every candidate after some trials.

    Args:
        store: where the candidates are.
        study: the study.
        trials: the observations.

    Returns:
        Indexed by id: ``mean, aleatoric, epistemic, ucb``, in the units of the objective.

    Raises:
        InputError: the policy has no posterior, or has observed too few trials.
        DataError: the space's vectors or the study's scores are no longer in the store.
    """
    spec = StudySpec.of(study)
    only = known_values(store, spec) if isinstance(spec.evaluation, Known) else None
    driver = StudyDriver(store, study, space_candidates(store, spec.space, only))
    policy = driver.policy
    if not isinstance(policy, HasPosterior):
        raise InputError("policy", "have a posterior to draw, such as boshnas", spec.policy, "Choose another study.")
    driver.learn(trials)
    with single_thread(policy):
        found, ucb = policy.posterior()
    columns = {"mean": found.mean, "aleatoric": found.aleatoric, "epistemic": found.epistemic, "ucb": ucb}
    return pd.DataFrame(columns, pd.Index(policy.candidates.ids, name="id", dtype=object))


def map_points(store: GraphStore, space: str) -> tuple[pd.DataFrame, Spread]:
    """Return a space's architectures with coordinates ``x`` and ``y``, and the axes' shares of the variance."""
    points, spread = map_frame(store.embeddings(space))
    return points.join(architectures_frame(store.summaries(space)), how="inner"), spread


def trial_points(trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """Return trials for the map: ``number, id, state, value, origin``, sorted by number."""
    rows = [(t.number, t.architecture, t.state.value, value_of(t), str(t.info.get("origin", ""))) for t in trials]
    frame = pd.DataFrame(rows, columns=["number", "id", "state", "value", "origin"])
    return frame.astype({"value": float})
