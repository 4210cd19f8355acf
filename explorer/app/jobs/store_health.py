"""The Store tab of the Jobs page: contents, consistency check and backups of the store."""

from __future__ import annotations

import datetime
import threading
import time

import pandas as pd
import streamlit as st

from explorer.app.shared import components, downloads, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import InputError
from explorer.library import backups
from explorer.library.settings import is_finished
from explorer.library.workplace import models_folder, models_size, work_size
from graphstore import GraphStore, maintenance
from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import StoreError
from graphstore.reports import CheckReport
from graphstore.url import SQLITE_PREFIX

MIB = 2**20
CHECKED, SAVED = "store_checked", "store_saved"
BACKUP_COLUMNS = {
    "size": st.column_config.NumberColumn("MiB", format="%.1f"),
    "made": st.column_config.DatetimeColumn("made", format="DD MMM YYYY, HH:mm:ss"),
}
SPACE_COLUMNS = {
    "architectures": st.column_config.NumberColumn("architectures", format="localized"),
    "scored": st.column_config.NumberColumn("scored", format="localized", help="Architectures with a score."),
    "scores": st.column_config.NumberColumn("scores", format="localized"),
}


def draw(store: GraphStore) -> None:
    """Draw the tab."""
    _facts(store)
    _spaces()
    _health(store)
    _backups(store)


def _facts(store: GraphStore) -> None:
    size = backups.file_size(store.url)
    facts = {
        "Store": store.url,
        "Engine": "SQLite, one file" if store.url.startswith(SQLITE_PREFIX) else "Neo4j server",
        "Version of the layout": f"{SCHEMA_VERSION} (the newest)",
        "Size": "on the server" if size is None else f"{size / MIB:,.1f} MiB",
        "Files next to it": f"{_work_size(store.url) / MIB:,.1f} MiB",
    }
    st.table(pd.Series(facts, name="").astype(str), border="horizontal")
    for risk in store.risks:
        st.warning(verbatim(risk[:1].upper() + risk[1:]), icon=":material/warning:")


@st.cache_data(show_spinner=False, ttl="1m", max_entries=8)
def _work_size(url: str) -> int:
    return work_size(url)


@st.cache_data(show_spinner=False, ttl="1m", max_entries=8)
def _models_size(url: str) -> int:
    return models_size(url)


def _spaces() -> None:
    rows = []
    for space in services.spaces():
        scores = services.scores(space.name)
        state = "ready" if is_finished(space.info) else "not finished"
        count = len(services.architectures(space.name))
        rows.append((space.name, str(space.info.get("title") or ""), state, count, scores["id"].nunique(), len(scores)))
    if not rows:
        st.info("The store has no spaces yet. `archex demo` builds one and trains the first models of it.")
        return
    frame = pd.DataFrame(rows, columns=["space", "title", "state", "architectures", "scored", "scores"])
    downloads.table(frame, "spaces", "store_spaces", column_config=SPACE_COLUMNS, hide_index=True)


@st.cache_resource(show_spinner=False)
def _one_at_a_time() -> threading.Lock:
    """One check or backup at a time for all visitors, because each reads the whole store."""
    return threading.Lock()


@st.cache_data(show_spinner=False, max_entries=2)
def _check(url: str, revision: int) -> tuple[CheckReport, float]:
    with _one_at_a_time():
        return maintenance.check(url), time.time()


def _health(store: GraphStore) -> None:
    st.subheader("Health")
    if st.button(
        "Check now", icon=":material/health_and_safety:", key="store_check", help="Same as `archex store check`."
    ):
        with st.spinner("Checking the whole store …"):
            st.session_state[CHECKED] = _check(services.store_url(), store.revision())
    if CHECKED not in st.session_state:
        st.caption("Not checked yet. A check reads the whole store and changes nothing.")
        return
    report, moment = st.session_state[CHECKED]
    checked = f"{report.engine}, version {report.version} (newest: {report.newest}), checked {_moment(moment)}."
    if report.ok:
        st.success(f"No problems: {checked}", icon=":material/check_circle:")
    else:
        st.warning(f"{len(report.problems)} problems: {checked}", icon=":material/error:")
        st.code("\n".join(report.problems), language=None, wrap_lines=True)
    counts = pd.DataFrame({"kind": list(report.counts), "records": list(report.counts.values())})
    downloads.table(counts, "store-counts", "store_counts", hide_index=True, height="content")


def _moment(seconds: float) -> str:
    return time.strftime("%d %b %Y, %H:%M:%S", time.localtime(seconds))


def _backups(store: GraphStore) -> None:
    st.subheader("Backups")
    if st.button("Make a backup", icon=":material/backup:", key="store_backup", help="Others can continue to work."):
        _save(store)
    saved = st.session_state.pop(SAVED, None)
    if saved is not None:
        st.success(saved, icon=":material/check_circle:")
    found = backups.list_backups(store.url)
    st.caption(f"Backups are in `{backups.backup_folder(store.url)}`, at most {backups.MOST}.")
    models = _models_size(store.url)
    if models:
        st.caption(
            f"A backup does not contain the trained models ({models / MIB:,.1f} MiB in `{models_folder(store.url)}`). "
            "`archex store copy --with-files` copies them to another store."
        )
    if not found:
        st.info("No backups yet.", icon=":material/inventory_2:")
        return
    rows = [(one.path.name, one.size / MIB, datetime.datetime.fromtimestamp(one.made)) for one in found]
    frame = pd.DataFrame(rows, columns=["file", "size", "made"])
    downloads.table(frame, "backups", "store_backups", column_config=BACKUP_COLUMNS, hide_index=True)
    st.markdown("A backup is a store: `archex app --store sqlite:///FILE` opens it, `archex store copy` restores it.")


def _save(store: GraphStore) -> None:
    lock = _one_at_a_time()
    if not lock.acquire(blocking=False):
        st.warning("A check or another backup is running. Try again when it has finished.")
        return
    try:
        with st.spinner("Saving …"):
            report = backups.make_backup(services.store_url(), store.url)
    except (InputError, StoreError) as error:
        components.show_error(error)
        return
    finally:
        lock.release()
    moved = f" The store changed during the backup in {', '.join(report.moving)}." if report.moving else ""
    st.session_state[SAVED] = f"Saved and checked: {report.path.name}, {report.size_bytes / MIB:,.1f} MiB.{moved}"
    st.rerun()
