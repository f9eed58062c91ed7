"""Rules: all of them, one a file, in the order in which the reference lists them."""

from __future__ import annotations

from collections.abc import Mapping

from harness.lint.finding import Rule
from harness.lint.rules import (
    alert_unknown,
    alert_without_step,
    authentication_missing,
    curl_body_untyped,
    curl_failure_unseen,
    dangerous,
    dead_anchor,
    dead_link,
    deadline_impossible,
    endpoint_unknown,
    find_acts_first,
    interactive_command,
    kubectl_namespace_missing,
    metric_unknown,
    needs_root,
    not_idempotent,
    placeholder,
    redis_cli_misused,
    rollback_missing,
    runbook_url_dead,
    setting_lost,
    shell_syntax,
    step_without_alert,
    switch_off,
    unknown_command,
    unknown_option,
    variable_unset,
    word_compared,
)

RULES: tuple[Rule, ...] = (
    shell_syntax.RULE,
    unknown_command.RULE,
    unknown_option.RULE,
    word_compared.RULE,
    curl_failure_unseen.RULE,
    curl_body_untyped.RULE,
    authentication_missing.RULE,
    endpoint_unknown.RULE,
    redis_cli_misused.RULE,
    find_acts_first.RULE,
    kubectl_namespace_missing.RULE,
    needs_root.RULE,
    interactive_command.RULE,
    placeholder.RULE,
    variable_unset.RULE,
    setting_lost.RULE,
    not_idempotent.RULE,
    dangerous.RULE,
    rollback_missing.RULE,
    deadline_impossible.RULE,
    alert_unknown.RULE,
    metric_unknown.RULE,
    alert_without_step.RULE,
    step_without_alert.RULE,
    runbook_url_dead.RULE,
    dead_link.RULE,
    dead_anchor.RULE,
    switch_off.RULE,
)
BY_ID: Mapping[str, Rule] = {rule.id: rule for rule in RULES}
