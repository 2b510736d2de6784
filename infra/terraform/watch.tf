# What only the tables know, asked by queries on a schedule. A query that fails its ASSERT fails its run, and the alert
# below tells why, in the words after AS. Unlike a log-based metric they look back as far as one likes. Those of learning
# pause with the jobs that they watch; those of serving never do.

locals {
  dataset = "${var.project_id}.${google_bigquery_dataset.pix.dataset_id}"

  # What measured.tf knows sooner is asked here only where it does not know it.
  asked = { for name, watch in local.watches : name => watch if name != "degraded" || !local.google_measures }

  watches = {
    degraded = {
      title    = "Pix are decided without model or history"
      learning = false
      schedule = "every 15 minutes"
      severity = "CRITICAL"
      todo     = local.queries.degraded.todo
      query    = <<-SQL
        ASSERT (
          SELECT IFNULL(SAFE_DIVIDE(COUNTIF(degraded${var.schedules_paused ? " AND history_sequence IS NULL" : ""}), COUNT(*)), 0) <= ${var.alert_degraded_share}
          FROM `${local.dataset}.score_events`
          WHERE initiated_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)
            AND scored_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 MINUTE)
            AND payer_ispb != '99999999'
        ) AS 'of the Pix scored in the last 30 minutes, too many were decided without model or history'
      SQL
    }
    drift = {
      title    = "Features or score have drifted"
      learning = true
      schedule = "every 6 hours"
      severity = "WARNING"
      todo     = "jobs.drift wrote what has drifted, and how far, into pix.model_ledger. The next run of pix-retrain trains because of it."
      query    = <<-SQL
        ASSERT NOT EXISTS (
          SELECT 1
          FROM `${local.dataset}.model_ledger`
          WHERE action = 'DRIFT' AND recorded_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 6 HOUR)
        ) AS 'the score or a feature has drifted from what the model was trained on'
      SQL
    }
    late = {
      title    = "Pix are scored too late"
      learning = false
      schedule = "every 15 minutes"
      severity = "CRITICAL"
      todo     = "Compare scored_at, published_at and initiated_at in pix.score_events: late before Pub/Sub is the publisher's, after it ours (instances, Valkey, BigQuery)."
      query    = <<-SQL
        ASSERT (
          SELECT IFNULL(SAFE_DIVIDE(COUNTIF(late), COUNT(*)), 0) <= ${var.alert_late_share}
          FROM `${local.dataset}.score_events`
          WHERE initiated_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)
            AND scored_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 MINUTE)
            AND payer_ispb != '99999999'
        ) AS 'of the Pix scored in the last 30 minutes, too many were scored after their deadline'
      SQL
    }
    learning = {
      title    = "Nothing has been learned for days"
      learning = true
      schedule = "every 24 hours"
      severity = "WARNING"
      todo     = "Neither a training nor a reason not to train in pix.model_ledger: look at the executions of pix-retrain, and whether Cloud Scheduler is paused."
      query    = <<-SQL
        ASSERT EXISTS (
          SELECT 1
          FROM `${local.dataset}.model_ledger`
          WHERE action IN ('SWAP', 'REFUSE', 'NOTHING_TO_DO')
            AND recorded_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL ${var.alert_days_without_retraining} DAY)
        ) AS 'no retraining has come to an end for ${var.alert_days_without_retraining} days'
      SQL
    }
    quarantine = {
      title    = "Messages cannot be read"
      learning = false
      schedule = "every 15 minutes"
      severity = "ERROR"
      todo     = "SELECT topic, reason, field, COUNT(*) FROM pix.quarantined GROUP BY topic, reason, field: somebody publishes something else than the contract."
      query    = <<-SQL
        ASSERT (
          SELECT COUNT(*) <= ${var.alert_quarantined}
          FROM `${local.dataset}.quarantined`
          WHERE quarantined_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 MINUTE)
        ) AS 'many messages were quarantined in the last 30 minutes'
      SQL
    }
    swap = {
      title    = "The same model has served for long"
      learning = true
      schedule = "every 24 hours"
      severity = "WARNING"
      todo     = "Every challenger was refused, or there was none. The reasons are in pix.model_ledger, the figures in MLflow."
      query    = <<-SQL
        ASSERT EXISTS (
          SELECT 1
          FROM `${local.dataset}.model_ledger`
          WHERE action IN ('SWAP', 'ROLLBACK')
            AND recorded_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL ${var.alert_days_without_swap} DAY)
        ) AS 'no model has been swapped in for ${var.alert_days_without_swap} days'
      SQL
    }
  }
}

resource "google_bigquery_data_transfer_config" "watches" {
  for_each = local.asked

  display_name         = "pix-watch-${each.key}"
  data_source_id       = "scheduled_query"
  location             = var.region
  schedule             = each.value.schedule
  disabled             = var.schedules_paused && each.value.learning
  service_account_name = google_service_account.parts["watch"].email
  params               = { query = each.value.query }

  depends_on = [
    google_bigquery_table_iam_member.readers,
    google_bigquery_table_iam_member.view_readers,
    google_project_iam_member.query_jobs,
    google_service_account_iam_member.watch_tokens,
  ]
}

# Scheduled queries are run by Google's agent in the name of our account.
resource "google_service_account_iam_member" "watch_tokens" {
  service_account_id = google_service_account.parts["watch"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.agents.transfers
}

resource "google_monitoring_alert_policy" "watches" {
  for_each = local.asked

  display_name          = "Pix: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.channels

  conditions {
    display_name = each.value.title

    condition_matched_log {
      filter = join(" AND ", [
        "resource.type=\"bigquery_dts_config\"",
        "resource.labels.config_id=\"${basename(google_bigquery_data_transfer_config.watches[each.key].name)}\"",
        "severity>=ERROR",
      ])
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    content   = each.value.todo
    mime_type = "text/markdown"
  }
}
