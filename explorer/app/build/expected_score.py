"""The predicted score of the edited architecture."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.score_kinds import TitledKind
from explorer.app.build import building
from explorer.app.shared import components, downloads, frames, services
from explorer.app.shared.markdown import verbatim
from explorer.library.forecast import Forecaster
from explorer.library.library import Library
from explorer.plots import forecast_strip
from explorer.space.spec import ArchitectureSpec
from graphstore.records import ArchitectureRecord


def render(library: Library, spec: ArchitectureSpec, picked: TitledKind | None, record: ArchitectureRecord) -> None:
    """Draw the prediction, or the reason why there is none.

    Args:
        library: library of the space.
        spec: the architecture.
        picked: score kind to learn from; ``None`` if there are none.
        record: record of the architecture.
    """
    if picked is None:
        components.no_scores_yet()
        return
    reason = building.too_few(library, picked)
    if reason is not None:
        st.info(verbatim(reason), icon=":material/hourglass_empty:")
        return
    learned = building.forecaster(library, picked.kind)
    if learned.equal is not None:
        text = f"All {learned.count:,} known scores are {learned.equal:.4f}, so there is nothing to learn from yet."
        st.info(text, icon=":material/hourglass_empty:")
        return
    found = learned.forecast(spec)
    known = frames.mean_scores(services.scores(library.name), picked.kind).dropna()
    own = known.get(record.id)
    left, right = st.columns([1, 3])
    help = "If the model is right, two of three trainings score within one standard deviation."
    left.metric(
        verbatim(picked.title),
        f"{found.mean:.4f}",
        f"± {found.deviation:.4f}",
        "off",
        border=True,
        help=help,
        delta_arrow="off",
    )
    if own is not None:
        left.metric("Measured", f"{own:.4f}", border=True)
    with right:
        figure = forecast_strip(list(known), found.mean, found.deviation, picked.title)
        downloads.figure(figure, f"expected-{record.id[:8]}", "build_forecast", alt="Expected score")
    if found.beyond:
        st.warning(
            "It is further from every scored architecture than these are from each other, so trust this less.",
            icon=":material/warning:",
        )
    among = " It is one of them." if own is not None else ""
    st.caption(
        f"Predicted from {learned.count:,} scored architectures by a Gaussian process and a forest on the kernel's "
        f"distances; {_trust(learned)}.{among} The ± of {found.deviation:.4f} combines the epistemic uncertainty "
        f"({found.epistemic:.4f}; decreases with more scores) and the noise of a training ({found.aleatoric:.4f})."
    )


def _trust(learned: Forecaster) -> str:
    if learned.rank_correlation is None or learned.covered is None:
        return "too few for cross-validation"
    return (
        f"in cross-validation the rank correlation is {learned.rank_correlation:.2f}, and {learned.covered:.0%} lie "
        "within one standard deviation"
    )
