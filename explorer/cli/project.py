"""``archex project``: compute the t-SNE projection of a space for the map of the app."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.analysis.projections import make_tsne
from explorer.cli.console import (
    DEFAULT_STORE,
    JobOption,
    JsonOption,
    SeedOption,
    StoreOption,
    find_job,
    opened,
    output,
    print_json,
    progress_reporter,
)
from explorer.studies.jobs import new_job, running_job


def project(
    space: Annotated[str, typer.Argument(help="A built space.")],
    seed: SeedOption = 0,
    store: StoreOption = DEFAULT_STORE,
    job: JobOption = "",
    json: JsonOption = False,
) -> None:
    """Compute the t-SNE of a space's vectors and save it next to the store; about a minute for 10,000 architectures."""
    with opened(store, create=False) as opened_store:
        info = {"arguments": ["project", space, "--seed", str(seed)], "space": space}
        record = find_job(opened_store, job) if job else new_job(opened_store, "project", info)
        with progress_reporter() as bars, running_job(opened_store, record, bars) as reporter:
            made = make_tsne(opened_store, space, seed, reporter)
    if json:
        print_json({"space": space, "architectures": len(made.points), "kept": made.kept, **made.settings})
    else:
        output.print(
            f"{space}: t-SNE of {len(made.points):,} architectures keeps {made.kept:.0%} of the neighbours",
            markup=False,
        )
