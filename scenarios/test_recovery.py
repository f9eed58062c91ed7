"""After the incident: the runbook's recovery checks, and the way back to normal."""

from harness import Alert, Arrivals, Benchmark, Checkpoint, Level, Logs, Run, Slo, hours, minutes, percent, seconds
from harness.faults import UpstreamOutage

SPIKE = Alert("HTTP503ErrorSpike", severity="critical", job="generation-service")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
USUAL = Arrivals.constant(per_second=60)
CORE = Slo.smoke("POST /api/generation/scripts", "POST /api/rag/search", "GET /api/projects/{id}")
OURS = '{job="generation-service"}'
CPU = Level("the service's share of its CPUs", f"rate(service_cpu_seconds_total{OURS}[2m]) / service_cores{OURS}")
MEMORY = Level(
    "the share of its memory limit that the service uses",
    f"service_resident_memory_bytes{OURS} / (service_memory_limit_bytes{OURS} > 0)",
)
CONNECTIONS = Level(
    "the share of its database connections that a service uses",
    "avg_over_time(database_pool_in_use[1m]) / (database_pool_limit > 0)",
)
BREAKER = Level("OpenAI's breaker", 'circuit_breaker_state{upstream="openai"}')  # 1 open, 2 half-open
FORCED = Level("the order to hold OpenAI's breaker open", 'circuit_breaker_forced{upstream="openai"}')
AB = Benchmark(
    "generation", 8002, "/api/generation/health", requests=1000, at_once=10, p99=seconds(2), rate=50, mean=seconds(2)
)
# The runbook's table, row by row.
RECOVERY = (
    Checkpoint("within 5 minutes", minutes(5), minutes(5.5), (RECOVERED, CORE), look=("look-health",)),
    Checkpoint(
        "within 30 minutes",
        minutes(30),
        minutes(3),
        (
            CPU.below(percent(70)),
            MEMORY.below(percent(80)),
            CONNECTIONS.below(percent(80)),
            Logs("generation").without(" ERROR: "),
            Logs("project").without(" ERROR: "),
        ),
    ),
    Checkpoint("within 1 hour", hours(1), minutes(0.5), (AB,), look=("recovery-benchmark",)),
)


def test_recovery_checks(run: Run) -> None:
    """When OpenAI is back after an outage, all that the runbook has its operators check within five minutes, half an
    hour and an hour holds, its benchmark included."""
    with run.load(USUAL):
        with run.fault(UpstreamOutage("openai")) as outage:
            run.wait_for(SPIKE.firing, at_most=minutes(10))
            response = run.mitigate("openai-circuit-breaker", "fallback-model")
            run.observe("on the fallback", minutes(5.5))
        back = run.restore("openai-circuit-breaker")
        checked = run.check(*RECOVERY, of=back.end)
    run.verify(
        SPIKE.fires(within=minutes(8), of=outage.start),
        RECOVERED.within(minutes(5), of=response.end, by=outage.end),
        *checked,
    )


def test_a_failing_try_opens_the_breaker_again(run: Run) -> None:
    """While OpenAI takes connections and says nothing, each half-open try opens the breaker again, and so does one that
    operators give back too early. Their own test says that OpenAI is down and leaves it open; once OpenAI is back a
    try closes it."""
    with run.load(USUAL):
        run.mitigate("fallback-model")
        with run.fault(UpstreamOutage("openai", how="timeout")):
            run.observe("until it opens", minutes(6))
            tried = run.observe("half-open tries", minutes(10))
            run.mitigate("openai-circuit-breaker")
            run.look("openai-still-down")
            held = run.observe("held open", minutes(2))
            run.restore("openai-circuit-breaker-off")
            early = run.observe("given back too early", minutes(10))
        run.observe("until a try succeeds", minutes(6))
        after = run.observe("OpenAI is back", minutes(5.5))
    run.verify(
        BREAKER.at_least(1).during(tried, held),
        BREAKER.goes(1, 2, 1, during=tried),
        FORCED.at_least(1).during(held),
        FORCED.below(1).during(tried, early, after),
        BREAKER.goes(1, 2, 1, during=early),
        BREAKER.below(1).during(after),
        RECOVERED.during(tried, held, after),
    )


def test_back_to_normal(run: Run) -> None:
    """What was ordered against an outage is taken back in the runbook's order: limits, shed endpoints, then the breaker
    once OpenAI answers the runbook's own test. Users get what they got before, and no order is left in force."""
    with run.load(USUAL):
        calm = run.observe("calm", minutes(5.5))
        with run.fault(UpstreamOutage("openai")) as outage:
            run.wait_for(SPIKE.firing, at_most=minutes(10))
            run.mitigate("rate-limit-emergency", "shed-endpoints", "openai-circuit-breaker", "rag-limits")
            run.look("openai-still-down")
            down = run.observe("still down", minutes(2))
        run.restore("rate-limit-emergency", "shed-endpoints", "openai-circuit-breaker", "rag-limits")
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        after = run.observe("back to normal", minutes(5.5))
    run.verify(
        SPIKE.fires(within=minutes(8), of=outage.start),
        FORCED.at_least(1).during(down),
        BREAKER.at_least(1).during(down),
        FORCED.below(1).during(calm, after),
        BREAKER.below(1).during(calm, after),
        RECOVERED.during(calm, after),
        SPIKE.resolves(within=minutes(10), of=outage.end),
    )
