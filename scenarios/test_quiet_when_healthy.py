"""Nobody is paged while nothing is wrong."""

from harness import Alert, Arrivals, Run, Slo, minutes, percent, seconds

PAGES = (
    Alert("HTTP503ErrorSpike", severity="critical"),
    Alert("CriticalServiceDown", severity="critical", pager="true"),
)
WARNINGS = tuple(
    Alert(name, severity="warning", source="sandbox")
    for name in (
        *("SlowAnswers", "ErrorRatioHigh", "ServerErrorsOtherThan503"),
        *("LlmPoolSaturated", "LlmQueueFilling", "DatabasePoolSaturated", "MemoryNearLimit"),
        *("ProjectServiceDown", "DependencyDown", "WorkerMissing", "DatabaseLocked", "CacheFailing"),
        *("DocumentSearchFailing", "CircuitBreakerOpen", "MitigationLeftOn"),
    )
)
HEALTHY = Slo.recovery(error_503=percent(1), mean=seconds(2))


def test_quiet_when_healthy(run: Run) -> None:
    """Under real load and without a fault the service meets its objectives and no alert stirs."""
    with run.load(Arrivals.constant(per_second=60)):
        calm = run.observe("a calm day", minutes(10))
    run.verify(
        HEALTHY.during(calm),
        *(alert.stays_quiet(during=calm) for alert in (*PAGES, *WARNINGS)),
    )
