"""Sees to it that a version's optimize Job runs, and follows it to its end."""

from __future__ import annotations

import time

from k8s.rollout import job as jobs
from k8s.rollout import pods
from k8s.rollout.cluster import Cluster, Deadline, Object
from k8s.rollout.errors import Failed, Refused
from k8s.rollout.job import CONTAINER, Changes
from k8s.rollout.output import say

_LAST_LINES = 5
_LONGEST_NAME = 63


class JobRun:
    """The optimize Jobs of one service."""

    def __init__(self, cluster: Cluster, name: str, interval: float) -> None:
        """Takes the service's name, and the seconds between two looks."""
        self._cluster = cluster
        self._name = name
        self._interval = interval
        self._said: dict[str, int] = {}
        self._state = ""

    def find(self, version: int) -> Object | None:
        """The newest Job of a version."""
        return jobs.newest(self._all(), version)

    def ensure(self, version: int, changes: Changes, *, retry: bool, dry_run: bool) -> str:
        """The name of the Job that publishes the version, which is created where there is none.

        Args:
            version: What is to be published.
            changes: What is to differ from the newest Job.
            retry: Whether a failed Job is replaced.
            dry_run: Whether the API server only checks what is created.

        Raises:
            Refused: There is no Job to make it after, or the one there is runs something else.
            Failed: The version's Job has failed.
        """
        while True:
            everything = self._all()
            found = jobs.newest(everything, version)
            again = found is not None and retry and jobs.outcome(found) == "failed"
            if found is not None and not again:
                return self._existing(found, version, changes)
            template = found or jobs.newest(everything)
            if template is None:
                raise Refused(
                    f"there is no optimize Job of {self._name} in namespace "
                    f"{self._cluster.namespace} to make one after; apply an overlay first: "
                    "kubectl apply -k k8s/overlays/<one>"
                )
            taken = {job["metadata"]["name"] for job in everything}
            name = _free_name(f"optimize-{self._name}-{version}", taken if again else set())
            body = jobs.derived(template, name, version, changes)
            if self._cluster.create_job(body, dry_run=dry_run):
                say(f"job {name}: created after {template['metadata']['name']}")
                if again and not dry_run:
                    # Last, so that a run that is killed here leaves a template behind.
                    self._delete_failed(everything, version)
                return name
            self._wait_for_name(name)

    def wait(self, name: str, deadline: Deadline) -> None:
        """Follows a Job to its end, its log passed on.

        Raises:
            Failed: It failed, was deleted, or takes longer than that.
        """
        while True:
            self._cluster.deadline = deadline
            job = self._cluster.job(name)
            if job is None:
                raise Failed(f"job {name} was deleted; nothing was changed")
            outcome = jobs.outcome(job)
            attempts = self._cluster.pods(f"batch.kubernetes.io/job-name={name}")
            if attempts:
                self._follow(attempts[-1], whole=outcome != "running")
            if outcome == "complete":
                say(f"job {name}: complete")
                return
            if outcome == "failed":
                raise self._failed(name, job, attempts)
            if deadline.left <= self._interval:
                raise Failed(
                    f"job {name} is not done after {deadline.seconds:g} s; nothing was changed, "
                    "run the same command again to wait on"
                )
            time.sleep(self._interval)

    def _existing(self, job: Object, version: int, changes: Changes) -> str:
        name: str = job["metadata"]["name"]
        if not jobs.fits(job, changes):
            raise Refused(
                f"job {name} exists and runs without these --image and --set; take another "
                "version, or --retry if it has failed"
            )
        say(f"job {name}: {jobs.outcome(job)}")
        return name

    def _all(self) -> list[Object]:
        return self._cluster.jobs(jobs.selector(self._name))

    def _delete_failed(self, everything: list[Object], version: int) -> None:
        for old in everything:
            if jobs.version_of(old) == version and jobs.outcome(old) == "failed":
                self._cluster.delete_job(old)
                say(f"job {old['metadata']['name']}: deleted, it had failed")

    def _wait_for_name(self, name: str) -> None:
        """Returns once to look again is worth it; raises Refused where it never is."""
        job = self._cluster.job(name)
        leaving = job is not None and job["metadata"].get("deletionTimestamp")
        labelled = job is None or jobs.newest(self._all(), jobs.version_of(job))
        if not leaving and not labelled:
            raise Refused(f"job {name} exists but lacks the labels of an optimize Job")
        if self._cluster.deadline.left <= self._interval:
            raise Refused(f"job {name} is still being deleted; try again")
        time.sleep(self._interval)

    def _follow(self, pod: Object, *, whole: bool) -> None:
        """Passes on the lines of a pod's log that are new."""
        name = pod["metadata"]["name"]
        phase = pod.get("status", {}).get("phase")
        state = f"{name}: {pods.trouble(pod) if phase == 'Pending' else phase}"
        if state != self._state:
            say(f"pod {state}")
            self._state = state
        if phase == "Pending":
            return
        text = self._cluster.log(name, CONTAINER)
        lines = text.splitlines()
        if not whole and text and not text.endswith("\n"):
            lines.pop()
        for line in lines[self._said.get(name, 0) :]:
            say(f"  {line}")
        self._said[name] = max(len(lines), self._said.get(name, 0))

    def _failed(self, name: str, job: Object, attempts: list[Object]) -> Failed:
        reason = jobs.failure(job)
        ended = [(pod, pods.exit_of(pod, CONTAINER)) for pod in attempts]
        for pod, exited in reversed(ended):
            if exited is None:
                continue
            code, why = exited
            meaning = jobs.EXITS.get(code, why)
            log = self._cluster.log(pod["metadata"]["name"], CONTAINER).split("\n")
            last = [line.strip() for line in log if line.strip()][-_LAST_LINES:]
            said = f": {' | '.join(last)}" if last else ""
            return Failed(
                f"job {name} failed with exit code {code} ({meaning}){said}; nothing was changed, "
                "--retry runs it again"
            )
        return Failed(f"job {name} failed: {reason}; nothing was changed, --retry runs it again")


def _free_name(base: str, taken: set[str]) -> str:
    name, number = base, 0
    while name in taken:
        number += 1
        name = f"{base}-retry{number}"
    if len(name) > _LONGEST_NAME:
        raise Refused(f"job name {name} has more than {_LONGEST_NAME} characters")
    return name
