"""What score to expect of the architecture that is being built."""

from __future__ import annotations

import streamlit as st

from explorer.app.build import building
from explorer.app.shared import components, downloads, frames, services
from explorer.app.shared.messages import literal
from explorer.library.vicinity import Forecaster, Vicinity
from explorer.plots import forecast_strip
from explorer.space.spec import ArchitectureSpec
from graphstore.records import ArchitectureRecord, SpaceRecord


def render(
    space: SpaceRecord, near: Vicinity, spec: ArchitectureSpec, series: str | None, record: ArchitectureRecord
) -> None:
    """Draw the prediction, or say why there is none.

    Args:
        space: the architecture's, finished.
        near: what is known of it.
        spec: the architecture.
        series: scores to learn from; ``None`` where there are none.
        record: of the architecture.
    """
    if series is None:
        components.no_scores_yet()
        return
    reason = building.too_few(space.name, near, series)
    if reason is not None:
        st.info(literal(reason), icon=":material/hourglass_empty:")
        return
    learned = building.forecaster(space, near, series)
    if learned.equal is not None:
        text = f"All {learned.count:,} known scores are {learned.equal:.4f}: there is nothing to learn from yet."
        st.info(text, icon=":material/hourglass_empty:")
        return
    found = learned.forecast(spec)
    known = frames.mean_scores(services.scores(space.name), series).dropna()
    own = known.get(record.id)
    left, right = st.columns([1, 3])
    help = "Two times of three a training's score lies within one standard deviation, if the model is right."
    left.metric(
        literal(series),
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
        figure = forecast_strip(list(known), found.mean, found.deviation, series)
        downloads.figure(figure, f"expected-{record.id[:8]}", "build_forecast", alt="Expected score")
    if found.beyond:
        st.warning(
            "It is further from every scored architecture than these are from each other: trust this less.",
            icon=":material/warning:",
        )
    among = " It is one of them." if own is not None else ""
    st.caption(
        f"Learned from {learned.count:,} scored architectures by a Gaussian process and a forest on their graphs' "
        f"distances; {_trust(learned)}.{among} Two things make the ± of {found.deviation:.4f}, added as squares: too "
        f"little is known of its like ({found.epistemic:.4f}, less with more scores), and the same training ends "
        f"differently each time ({found.aleatoric:.4f}, whatever is known)."
    )


def _trust(learned: Forecaster) -> str:
    if learned.rank_correlation is None or learned.covered is None:
        return "too few to test on"
    return (
        f"on held-out ones rank correlation {learned.rank_correlation:.2f}, and {learned.covered:.0%} within one "
        "deviation"
    )
