"""A node's own figures for Prometheus: duties done and failed, where each job stands, whether the chain answers."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hansa.rounds.job import JobState, Phase

_PHASES = list(Phase)


class Status:
    """One registry per node, none global: several nodes may live in one process."""

    def __init__(self, name: str = "node") -> None:
        self._registry = CollectorRegistry()
        self._done = Counter("hansa_duties_done", "Duties carried out", ["node", "duty"], registry=self._registry)
        self._failed = Counter("hansa_duties_failed", "Tries of duties that failed", ["node", "duty"], registry=self._registry)
        self._seconds = Histogram("hansa_duty_seconds", "Wall time of a duty", ["node", "duty"], registry=self._registry)
        self._round = Gauge("hansa_job_round", "Round a job is at", ["node", "job"], registry=self._registry)
        self._phase = Gauge("hansa_job_phase", "Phase of a job, 0 enrolling to 5 closed", ["node", "job"], registry=self._registry)
        self._healthy = Gauge("hansa_ledger_healthy", "Whether the chain answers", ["node"], registry=self._registry)
        self._name = name

    def done(self, duty: str, seconds: float) -> None:
        self._done.labels(self._name, duty).inc()
        self._seconds.labels(self._name, duty).observe(seconds)

    def failed(self, duty: str) -> None:
        self._failed.labels(self._name, duty).inc()

    def text(self, jobs: Mapping[int, JobState], healthy: bool) -> bytes:
        """Prometheus text of this moment."""
        self._healthy.labels(self._name).set(healthy)
        for job in jobs.values():
            self._round.labels(self._name, str(job.id)).set(job.round)
            self._phase.labels(self._name, str(job.id)).set(_PHASES.index(job.phase))
        return generate_latest(self._registry)
