"""Descriptions of studies of earlier versions in the present form.

Version 2 knows fewer settings of policies. Version 1, which stores of schema version 2 kept, has ``policy``,
``objective``, ``seed`` and ``budget`` of a study, and ``settings``: a mapping with a key for everything else. A resumed
study must make the proposals that it would have made, so each setting keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.search import Capability, policies_with

BEFORE: Mapping[str, Mapping[str, Any]] = {"boshnas": {"stall": 0}}
"""Settings of policies that are newer than version 2, with the values that mean what the policies did then."""
_SAME = ("hours", "constraints", "batch", "stop_when_converged", "patience")
"""Settings that are fields of the spec now."""
_STAGES = ("levels", "level_size", "requeries")
_TRAINED = ("recipe", "tasks", "data", "task_files", "transfer", "transfer_overlap", "transfer_donor")


def upgraded(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of version 1 or 2 as one of version 3."""
    found = _of_first(document) if document["version"] == 1 else dict(document)
    own = {**BEFORE.get(found.get("policy", ""), {}), **found.get("policy_settings", {})}
    return {**found, "version": 3, "policy_settings": own}


def _of_first(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of version 1 as one of version 2."""
    settings = document.get("settings", {})
    found = {name: document[name] for name in ("name", "space", "policy", "seed", "budget")}
    texts = settings.get("objectives") or [document["objective"]]
    # Only a text with a minus is minimised: objectives were stored in this form.
    objectives = [
        {"name": text.removeprefix("-"), "direction": "minimise" if text.startswith("-") else "maximise"}
        for text in texts
    ]
    found |= {"version": 2, "objectives": objectives, "evaluation": _evaluation(settings)}
    found |= {"policy_settings": _policy_settings(document["policy"], settings)}
    found |= {name: settings[name] for name in _SAME if settings.get(name)}
    found["stages"] = {name: settings[name] for name in _STAGES if settings.get(name)}
    if "level" in settings or "prior" in settings:
        found["level"] = {
            "of": settings.get("level_of", document["name"]),
            "number": settings.get("level", 1),
            "prior": settings.get("prior", ()),
        }
    if "tuned_of" in settings:
        found["tuned"] = {"of": settings["tuned_of"], "queries": settings["queries"]}
    return found


def _evaluation(settings: Mapping[str, Any]) -> dict[str, Any]:
    if settings.get("from_scores"):
        return {"kind": "known", "fidelity": settings.get("fidelity")}
    if settings.get("external"):
        return {"kind": "external"}
    if "supernet" in settings:
        rows = {"rows": settings["rows"]} if "rows" in settings else {}
        return {"kind": "inside", "supernet": settings["supernet"], **rows}
    return {"kind": "trained", **{name: settings[name] for name in _TRAINED if settings.get(name) is not None}}


def _policy_settings(policy: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    own = dict(settings.get("policy_settings", {}))
    if settings.get("batch"):
        own.pop("iteration", None)  # The batch took its place.
    if settings.get("initial") and policy in policies_with(Capability.INITIAL_DESIGN):
        own["initial"] = settings["initial"]
    return own
