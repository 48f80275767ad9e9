"""What is published, served and under way, as lines of text."""

from __future__ import annotations

from k8s.rollout import job as jobs
from k8s.rollout.cluster import Cluster
from k8s.rollout.serving import Serving


def lines(cluster: Cluster, name: str, serving: Serving) -> list[str]:
    """The state of a service; raises what Cluster and Serving.state do."""
    state = serving.state()
    found = cluster.jobs(jobs.selector(name))
    done = {jobs.version_of(job) for job in found if jobs.outcome(job) == "complete"}
    published = ", ".join(str(v) for v in sorted(v for v in done if v)) or "none by a job"
    last = jobs.newest(found)
    shown = [
        f"service:   {name} in namespace {cluster.namespace}",
        f"published: {published}",
        f"served:    {state.served}",
        f"ready:     {'yes' if state.ready else state.reason}",
        f"previous:  {state.previous or 'none'}",
    ]
    if last is None:
        shown.append("last job:  none")
    else:
        text = f"{last['metadata']['name']}: {jobs.outcome(last)}"
        reason = jobs.failure(last)
        shown.append(f"last job:  {text}{f' ({reason})' if reason else ''}")
    if state.unfinished:
        unfinished = state.unfinished
        command = "rollback" if unfinished.verb == "rollback" else f"apply {unfinished.version}"
        shown.append(f"unfinished: {command}; run it again")
    return shown + [f"url:       {url}" for url in serving.urls(state)]
