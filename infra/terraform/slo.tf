# Service level objectives of 28 days, and alerts on the rate at which their error budgets burn: by two windows each, as in
# the Site Reliability Workbook (ch. 5). An alert fires once 2 % of a budget is gone within an hour, or 5 % within six; the
# short window lets it end soon after the fault. In infra/monitoring/alerts.yaml, `bad` is the share of bad events in a
# WINDOW, by the metrics that the functions send; like other alerts on these, it is silent with another metrics_endpoint.

locals {
  in_time = "${replace(tostring(var.slo_decision_seconds), ".", "[.]")}([.]0)?"

  slo_conditions = {
    for name, slo in local.defined.alerts : name => {
      promql = {
        query = join(" or ", [
          for each in local.defined.windows : join(" and ", [
            for window in [each.long, each.short] :
            format("(%s > %.6g)", replace(slo.bad, "WINDOW", window), each.burn * (1 - slo.goal))
          ])
        ])
        duration = 0
      }
    } if can(slo.bad)
  }
}
