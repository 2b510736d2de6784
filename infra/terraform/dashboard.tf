# One dashboard for speed, completeness and learning. A chart has either a filter of Cloud Monitoring, or a PromQL
# query over the functions' own metrics (alerts-functions.tf), which Grafana's dashboard has too.

locals {
  service = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=starts_with(\"pix-\")"
  valkey  = "resource.type=\"memorystore.googleapis.com/Instance\""
  counted = "logging.googleapis.com/user/pix"

  filtered = [
    { title = "Pushes per second", filter = "metric.type=\"pubsub.googleapis.com/subscription/push_request_count\" AND ${local.subscription}=${local.pushes}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = "resource.label.subscription_id" },
    { title = "Answer to a push, p99 (microseconds)", filter = "metric.type=\"pubsub.googleapis.com/subscription/push_request_latencies\" AND ${local.subscription}=${local.pushes}", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = "resource.label.subscription_id" },
    { title = "Oldest waiting message (s)", filter = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND ${local.subscription}=${local.pushes}", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = "resource.label.subscription_id" },
    { title = "Dead letters", filter = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND ${local.subscription}=${local.deads}", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = "resource.label.subscription_id" },
    { title = "Instances", filter = "metric.type=\"run.googleapis.com/container/instance_count\" AND ${local.service}", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = "resource.label.service_name" },
    { title = "CPU of instances, p99", filter = "metric.type=\"run.googleapis.com/container/cpu/utilizations\" AND ${local.service}", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = "resource.label.service_name" },
    { title = "CPU of the history store", filter = "metric.type=\"memorystore.googleapis.com/instance/cpu/maximum_utilization\" AND ${local.valkey}", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = null },
    { title = "Memory of the history store", filter = "metric.type=\"memorystore.googleapis.com/instance/memory/maximum_utilization\" AND ${local.valkey}", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = null },
    { title = "Job executions by outcome", filter = "metric.type=\"${local.counted}/job_outcomes\" AND resource.type=\"cloud_run_job\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = "metric.label.outcome" },
    { title = "Drift of the score (PSI)", filter = "metric.type=\"${local.counted}/drift_of_score\" AND resource.type=\"cloud_run_job\"", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = null },
  ]

  queried = yamldecode(file("${path.module}/../monitoring/charts.yaml"))

  # Title and time series of each chart, of either kind.
  charts = concat(
    [for chart in local.queried : { title = chart.title, drawn = { prometheusQuery = chart.query } }],
    [for chart in local.filtered : { title = chart.title, drawn = {
      timeSeriesFilter = {
        filter = chart.filter
        aggregation = {
          alignmentPeriod    = "60s"
          perSeriesAligner   = chart.aligner
          crossSeriesReducer = chart.reducer
          groupByFields      = chart.by == null ? [] : [chart.by]
        }
      }
    } }],
  )
}

resource "google_monitoring_dashboard" "pix" {
  dashboard_json = jsonencode({
    displayName = "Pix fraud scoring"
    mosaicLayout = {
      columns = 48
      tiles = [
        for place, chart in local.charts : {
          xPos   = 16 * (place % 3)
          yPos   = 14 * floor(place / 3)
          width  = 16
          height = 14
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [{
                plotType        = "LINE"
                timeSeriesQuery = chart.drawn
              }]
            }
          }
        }
      ]
    }
  })

  depends_on = [google_logging_metric.drift_of_score, google_logging_metric.job_outcomes]
}
