# Alerts on the tables, by scheduled queries. A query whose ASSERT fails ends its run with an error; the alert matches
# the log entry of that run, and the entry holds the text after AS. Unlike a log-based metric, a query can look back
# any number of days. Queries about learning pause together with the jobs; queries about serving never pause.

locals {
  dataset = "${var.project_id}.${google_bigquery_dataset.pix.dataset_id}"

  # Where Google has the metrics of the functions, alerts.yaml raises `degraded` sooner than this query would.
  # Assumed outcomes are never missing.
  scheduled_watches = {
    for name, watch in local.watches : name => watch
    if !(name == "degraded" && local.google_measures) && !(name == "outcomes" && var.outcomes == "assumed")
  }

  table_conditions = {
    for name, watch in local.scheduled_watches : "table_${name}" => {
      log = {
        filter = join(" AND ", [
          "resource.type=\"bigquery_dts_config\"",
          "resource.labels.config_id=\"${basename(google_bigquery_data_transfer_config.watches[name].name)}\"",
          "severity>=ERROR",
        ])
      }
    }
  }

  watches = {
    degraded = {
      learning = false
      schedule = "every 15 minutes"
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
    challenge = {
      learning = false
      schedule = "every 60 minutes"
      query    = <<-SQL
        ASSERT NOT EXISTS (
          SELECT 1
          FROM `${local.dataset}.model_ledger`
          WHERE action = 'CHALLENGE_TRIPPED' AND recorded_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 HOUR)
        ) AS 'a guard has ended the test of a challenger'
      SQL
    }
    drift = {
      learning = true
      schedule = "every 6 hours"
      query    = <<-SQL
        ASSERT NOT EXISTS (
          SELECT 1
          FROM `${local.dataset}.model_ledger`
          WHERE action IN ('DRIFT', 'FEATURE_DRIFT') AND recorded_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 6 HOUR)
        ) AS 'the score or a feature has drifted'
      SQL
    }
    late = {
      learning = false
      schedule = "every 15 minutes"
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
      learning = true
      schedule = "every 24 hours"
      query    = <<-SQL
        ASSERT EXISTS (
          SELECT 1
          FROM `${local.dataset}.model_ledger`
          WHERE (action IN ('SWAP', 'REFUSE', 'TOO_FEW', 'ASK', 'NOTHING_TO_DO') OR (action = 'PUBLISH_ONLY' AND trigger != 'manual'))
            AND recorded_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL ${var.alert_days_without_retraining} DAY)
        ) AS 'no retraining has finished for ${var.alert_days_without_retraining} days'
      SQL
    }
    outcomes = {
      learning = false
      schedule = "every 60 minutes"
      query    = <<-SQL
        ASSERT (
          SELECT IFNULL(SAFE_DIVIDE(COUNTIF(messages IS NULL), COUNT(*)), 0) <= ${var.alert_without_outcome_share}
          FROM `${local.dataset}.score_events`
          LEFT JOIN (
            SELECT end_to_end_id, COUNT(*) AS messages
            FROM `${local.dataset}.outcomes`
            WHERE `at` >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
            GROUP BY end_to_end_id
          ) USING (end_to_end_id)
          WHERE initiated_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)
            AND scored_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 90 MINUTE)
            AND scored_at < TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 MINUTE)
            AND decision = 'APPROVE'
            AND scheduled_for IS NULL
            AND payer_ispb != '99999999'
        ) AS 'of the Pix approved 30 to 90 minutes ago, too many have no outcome'
      SQL
    }
    probation = {
      learning = true
      schedule = "every 15 minutes"
      query    = <<-SQL
        ASSERT NOT EXISTS (
          SELECT 1
          FROM `${local.dataset}.model_ledger`
          WHERE action = 'PROBATION_FAILED' AND recorded_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 15 MINUTE)
        ) AS 'a model that has just begun to serve is not as foretold'
      SQL
    }
    quarantine = {
      learning = false
      schedule = "every 15 minutes"
      query    = <<-SQL
        ASSERT (
          SELECT COUNT(*) <= ${var.alert_quarantined}
          FROM `${local.dataset}.quarantined`
          WHERE quarantined_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 MINUTE)
        ) AS 'too many messages were quarantined in the last 30 minutes'
      SQL
    }
    reject_ceiling = {
      learning = true
      schedule = "every 6 hours"
      query    = <<-SQL
        ASSERT NOT EXISTS (
          SELECT 1
          FROM `${local.dataset}.model_ledger`
          WHERE action = 'REJECT_CEILING' AND recorded_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 6 HOUR)
        ) AS 'a model rejects more than the gate allows'
      SQL
    }
    swap = {
      learning = true
      schedule = "every 24 hours"
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
  for_each = local.scheduled_watches

  display_name         = "pix-watch-${each.key}"
  data_source_id       = "scheduled_query"
  location             = var.region
  schedule             = each.value.schedule
  disabled             = var.schedules_paused && each.value.learning
  service_account_name = local.accounts["watch"].email
  params               = { query = each.value.query }

  depends_on = [
    google_bigquery_table_iam_member.readers,
    google_bigquery_table_iam_member.view_readers,
    google_project_iam_member.query_jobs,
    google_service_account_iam_member.watch_tokens,
  ]
}

# Google's agent runs scheduled queries as our account.
resource "google_service_account_iam_member" "watch_tokens" {
  service_account_id = local.accounts["watch"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.agents.transfers
}
