"""Apply and roll back: each step reads where the cluster stands and goes on from there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from k8s.rollout import service
from k8s.rollout.cluster import Cluster, Deadline
from k8s.rollout.errors import Conflict, Failed, NotServing, Refused, Superseded, Unreachable
from k8s.rollout.job import Changes
from k8s.rollout.job_run import JobRun
from k8s.rollout.output import say
from k8s.rollout.service import State, Unfinished
from k8s.rollout.serving import Serving

_CONFLICT_SECONDS = 0.1

Decision = tuple[int, int | None, Unfinished | None]
"""The version to be served, the previous one, and whether that is still to be proven."""


@dataclass(frozen=True)
class Patience:
    """Seconds for the service to become ready, and for the Job to end."""

    service: float
    job: float


class Driver:
    """Rolls one service out and back."""

    def __init__(
        self, cluster: Cluster, jobs: JobRun, serving: Serving, patience: Patience, name: str
    ) -> None:
        """Takes the halves of the work and how long each may take."""
        self._cluster = cluster
        self._jobs = jobs
        self._serving = serving
        self._patience = patience
        self._name = name

    def apply(
        self, version: int, changes: Changes, *, retry: bool = False, dry_run: bool = False
    ) -> None:
        """Publishes a version with a Job, serves it, and proves it.

        Raises:
            Refused: The cluster is not in a state for that; nothing was changed.
            Failed: The version is not served; what was served before is.
        """
        self._cluster.deadline = Deadline(self._patience.service)
        state = self._serving.state()
        self._refuse_another(state, version)
        if state.served == version and self._jobs.find(version) is None:
            say(f"version {version}: in place already, and its job is gone")
        else:
            job = self._jobs.ensure(version, changes, retry=retry, dry_run=dry_run)
            if not dry_run:
                self._jobs.wait(job, Deadline(self._patience.job))
        self._put(lambda now: self._to(now, "apply", version), dry_run=dry_run)
        if not dry_run:
            self._prove(version)

    def roll_back(self, to: int | None, *, dry_run: bool = False) -> None:
        """Serves the previous version again, or the one that is named, and proves it.

        Raises:
            Refused: There is nothing to go back to.
            Failed: It does not serve.
        """
        self._cluster.deadline = Deadline(self._patience.service)
        state = self._serving.state()
        unfinished = state.unfinished
        if unfinished and unfinished.verb == "rollback" and to in (None, state.served):
            target = state.served  # a rollback that was interrupted
        elif to or state.previous:
            target = to or state.previous or 0
        else:
            raise Refused(f"{self._name} has no previous version to go back to; see --to")
        self._put(lambda now: self._to(now, "rollback", target), dry_run=dry_run)
        if not dry_run:
            self._prove(target)

    def _refuse_another(self, state: State, version: int) -> None:
        unfinished = state.unfinished
        if unfinished and unfinished.verb == "apply" and unfinished.version != version:
            raise Refused(
                f"the rollout of version {unfinished.version} is not finished: finish it with "
                f"`apply {unfinished.version}`, or end it with `rollback`"
            )

    def _to(self, now: State, verb: str, version: int) -> Decision | None:
        """How to get from here to a version; None where it is in place."""
        if now.served == version:
            return None
        unfinished = now.unfinished
        if verb == "apply":
            self._refuse_another(now, version)
        elif unfinished and unfinished.verb == "apply":
            # What is left was never proven, so there is no way back to it.
            return version, unfinished.older, Unfinished(verb, version, None, None)
        return version, now.served, Unfinished(verb, version, now.served, now.previous)

    def _put(self, decide: Callable[[State], Decision | None], *, dry_run: bool = False) -> None:
        """Patches the service from what was read, and only from that."""
        self._cluster.deadline = Deadline(self._patience.service)
        while True:
            now = self._serving.state()
            decision = decide(now)
            if decision is None:
                return
            version = decision[0]
            try:
                patch = service.change(now, *decision)
                self._cluster.patch_inference_service(self._name, patch, dry_run=dry_run)
            except Conflict:  # KServe writes the status, or a second rollout runs
                if not self._cluster.deadline.left:
                    raise Unreachable(
                        f"inferenceservice {self._name} never stays as read"
                    ) from None
                time.sleep(_CONFLICT_SECONDS)
                continue
            if version != now.served:
                say(f"inferenceservice {self._name}: {now.uri(now.served)} → {now.uri(version)}")
            return

    def _prove(self, version: int) -> None:
        try:
            self._serving.prove(version, Deadline(self._patience.service))
        except NotServing as error:
            raise self._put_back(version, error) from error
        self._finish(version)
        for url in self._serving.urls(self._serving.state()):
            say(f"url: {url}")

    def _finish(self, version: int) -> None:
        """Notes that the version is proven."""

        def decide(now: State) -> Decision | None:
            if now.served != version or now.unfinished is None:
                return None
            return version, now.previous, None

        self._put(decide)

    def _put_back(self, version: int, error: NotServing) -> Failed:
        """Puts back what was served before a version that failed; what to raise then."""
        self._cluster.deadline = Deadline(self._patience.service)
        say(f"version {version}: failed: {error}")
        state = self._serving.state()
        unfinished = state.unfinished
        if state.served != version:
            return Superseded(f"{error}; somebody else has put version {state.served} in place")
        if unfinished is None or unfinished.back is None:
            return Failed(f"{error}; it was in place before, and nothing was changed")
        back, older = unfinished.back, unfinished.older

        def decide(now: State) -> Decision | None:
            if now.served == version:
                return back, older, Unfinished("rollback", back, None, None)
            return None

        self._put(decide)
        try:
            self._serving.prove(back, Deadline(self._patience.service))
        except NotServing as second:
            return Failed(
                f"{error}; version {back} was put back, but does not serve either: {second}"
            )
        self._finish(back)
        return Failed(f"{error}; version {back} is served again")
