"""The Cypher of the saved queries, by name; see ``graphstore.neo4j.saved_queries``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from graphstore.records import LOWER_IS_BETTER

_LOWER = ", ".join(f"'{metric}'" for metric in sorted(LOWER_IS_BETTER))
_KIND = "s.metric + ' | ' + s.dataset + ' | ' + s.fidelity + ' | ' + s.recipe + ' | ' + split(s.source, ':')[0] AS kind"
_HELD = "($space = '' OR EXISTS { (:ArchexSpace {name: $space})-[:HOLDS]->(a) })"
_SCORED = f"""MATCH (s:ArchexScore {{task: $task}})-[:OF]->(a:ArchexArchitecture)
WHERE {_HELD}
WITH {_KIND}, CASE WHEN s.metric IN [{_LOWER}] THEN -1 ELSE 1 END AS sign, a, avg(s.value) AS value
"""
"""Mean score of each architecture by kind; larger ``sign * value`` is better."""

_SIMILAR = "($space = '' OR r.space = $space) AND ($kernel = '' OR r.kernel = $kernel)"

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "counts": """CALL () {
    MATCH (n) UNWIND labels(n) AS name
    WITH name WHERE name STARTS WITH 'Archex'
    RETURN 'node' AS sort, substring(name, 6) AS name, count(*) AS count
    UNION ALL
    MATCH (n)-[r]->() WHERE any(name IN labels(n) WHERE name STARTS WITH 'Archex')
    RETURN 'relation' AS sort, type(r) AS name, count(*) AS count
}
RETURN sort, name, count ORDER BY sort, name""",
        "best-by-last-layer": _SCORED
        + """MATCH (a)-[:HAS_LAYER]->(l:ArchexLayer {index: a.depth - 1})
WHERE $family IN split(l.family, '+')
RETURN kind, a.id AS architecture, l.family + '_' + l.parameter AS last, value, a.parameters AS parameters
ORDER BY kind, sign * value DESC, architecture LIMIT $limit""",
        "operations-by-depth": _SCORED
        + """ORDER BY kind, sign * value DESC, a.id
WITH kind, collect(a)[..$k] AS best
UNWIND best AS a
MATCH (a)-[:HAS_LAYER]->(l:ArchexLayer)
RETURN kind, l.index AS layer, l.family + '_' + l.parameter AS operation, count(*) AS architectures
ORDER BY kind, layer, architectures DESC, operation""",
        "untrained-nearby": f"""MATCH (a:ArchexArchitecture) WHERE a.id STARTS WITH $id
WITH a ORDER BY a.id LIMIT 1
MATCH (a)-[r:SIMILAR]->(b:ArchexArchitecture) WHERE {_SIMILAR}
WITH a, collect({{node: b, space: r.space, dissimilarity: r.dissimilarity}}) AS near
UNWIND near AS step
WITH a, [other IN near | other.node] AS known, step.node AS b, step.space AS space, step.dissimilarity AS first
MATCH (b)-[r:SIMILAR {{space: space}}]->(c:ArchexArchitecture)
WHERE ($kernel = '' OR r.kernel = $kernel) AND c <> a AND NOT c IN known AND NOT EXISTS {{ (c)<-[:OF]-(:ArchexScore) }}
RETURN c.id AS architecture, count(DISTINCT b) AS paths, min(first + r.dissimilarity) AS nearest,
    c.parameters AS parameters
ORDER BY nearest, architecture LIMIT $limit""",
        "path": f"""MATCH (a:ArchexArchitecture) WHERE a.id STARTS WITH $from
WITH a ORDER BY a.id LIMIT 1
MATCH (b:ArchexArchitecture) WHERE b.id STARTS WITH $to AND b <> a
WITH a, b ORDER BY b.id LIMIT 1
MATCH p = SHORTEST 1 (a)(()-[r:SIMILAR WHERE {_SIMILAR}]-()){{1,12}}(b)
RETURN length(p) AS steps, reduce(sum = 0.0, step IN relationships(p) | sum + step.dissimilarity) AS dissimilarity,
    [node IN nodes(p) | node.id] AS architectures""",
        "heterogeneity": _SCORED
        + """WITH kind, toInteger(floor(a.heterogeneity * 10 + 1e-9)) AS tenth, value
RETURN kind, tenth / 10.0 AS heterogeneity, count(*) AS architectures, avg(value) AS mean, min(value) AS lowest,
    max(value) AS highest
ORDER BY kind, heterogeneity""",
        "pareto": _SCORED
        + """ORDER BY a.parameters, sign * value DESC, a.id
WITH kind, collect({id: a.id, parameters: a.parameters, value: value, worth: sign * value}) AS rows
WITH kind, reduce(front = [], row IN rows | CASE
    WHEN size(front) = 0 OR row.worth > front[-1].worth
        OR (row.worth = front[-1].worth AND row.parameters = front[-1].parameters) THEN front + [row]
    ELSE front END) AS front
UNWIND front AS row
RETURN kind, row.id AS architecture, row.parameters AS parameters, row.value AS value
ORDER BY kind, parameters, architecture""",
        "stale-trials": """MATCH (s:ArchexStudy)-[:RAN]->(t:ArchexTrial)
WHERE t.state = 'stale' OR t.attempt > 1
RETURN s.name AS study, t.number AS trial, t.state AS state, t.attempt AS attempts, t.reason AS reason,
    t.architecture AS architecture
ORDER BY study, trial""",
        "best-so-far": """MATCH (s:ArchexStudy)-[:RAN]->(t:ArchexTrial)
WHERE t.value IS NOT NULL
WITH s, t ORDER BY t.finished, t.number
WITH s, collect(t) AS trials
UNWIND range(0, size(trials) - 1) AS i
WITH s, i, trials[i] AS t, trials[..i] AS earlier
WHERE all(other IN earlier WHERE other.value < t.value)
RETURN s.name AS study, s.policy AS policy, i + 1 AS evaluations, t.value AS best, t.architecture AS architecture
ORDER BY study, evaluations""",
        "hubs": f"""MATCH (a:ArchexArchitecture)<-[r:SIMILAR]-(b:ArchexArchitecture) WHERE {_SIMILAR}
WITH a, count(DISTINCT b) AS neighbours, avg(r.dissimilarity) AS mean_dissimilarity
ORDER BY neighbours DESC, a.id LIMIT $limit
RETURN a.id AS architecture, neighbours, mean_dissimilarity, COUNT {{ (a)<-[:OF]-(:ArchexScore) }} AS scores
ORDER BY neighbours DESC, architecture""",
        "skip-connections": """MATCH (a:ArchexArchitecture) WHERE a.id STARTS WITH $id
WITH a ORDER BY a.id LIMIT 1
MATCH (a)(()-[:HAS_LAYER|HAS_OP]->()){1,2}(source:ArchexOp)-[:FEEDS]->(target:ArchexOp)
WHERE EXISTS { (source)-[:FEEDS]->{2,8}(target) }
OPTIONAL MATCH (l:ArchexLayer)-[:HAS_OP]->(target)
RETURN l.index AS layer, source.label AS source, source.index AS source_index, target.label AS target,
    target.index AS target_index
ORDER BY target_index, source_index""",
        "overlap": """MATCH (s:ArchexSpace)-[:HOLDS]->(a:ArchexArchitecture)<-[:HOLDS]-(t:ArchexSpace)
WHERE s.name < t.name
RETURN s.name AS first, t.name AS second, count(*) AS shared,
    sum(CASE WHEN EXISTS { (a)<-[:OF]-(:ArchexScore) } THEN 1 ELSE 0 END) AS scored
ORDER BY shared DESC, first, second""",
        "lineage": """MATCH (a:ArchexArchitecture) WHERE a.id STARTS WITH $id
WITH a ORDER BY a.id LIMIT 1
MATCH (a)-[chain:INHERITED]->{1,10}(:ArchexArchitecture)
WHERE all(i IN range(1, size(chain) - 1) WHERE chain[i].run = chain[i - 1].donor_run)
WITH chain, [step IN chain | step.run] + [chain[-1].donor_run] AS runs
RETURN runs, [startNode(chain[0]).id] + [step IN chain | endNode(step).id] AS architectures,
    reduce(share = 1.0, step IN chain | share * step.share) AS share
ORDER BY size(runs), runs LIMIT $limit""",
        "improvements": _SCORED
        + f"""WITH kind, sign, a AS low, value AS less
MATCH (low)-[r:SIMILAR]-(high:ArchexArchitecture) WHERE {_SIMILAR}
MATCH (s:ArchexScore {{task: $task}})-[:OF]->(high)
WITH kind, sign, low, less, high, s, min(r.dissimilarity) AS dissimilarity
WITH {_KIND}, kind AS same, sign, low, less, high, dissimilarity, avg(s.value) AS more
WHERE kind = same AND sign * (more - less) > 0
RETURN kind, low.id AS worse, high.id AS better, abs(more - less) AS gain, dissimilarity
ORDER BY gain DESC, worse, better LIMIT $limit""",
    }
)
