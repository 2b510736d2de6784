# Dataset `pix`: tables and views from the files that the code reads as well (shared/contract/bigquery). Terraform
# creates a table; afterwards infra/deploy/migrate.py, which the pipeline runs before Terraform, owns its columns. It
# refuses, with a reason, a change that BigQuery cannot make in place, where Terraform would replace the table.

locals {
  contract = "${path.module}/../../shared/contract/bigquery"
  tables = {
    for file in fileset(local.contract, "*.json") : trimsuffix(file, ".json") => jsondecode(file("${local.contract}/${file}"))
  }
}

resource "google_bigquery_dataset" "pix" {
  dataset_id                 = "pix"
  description                = "Scores, outcomes and reports of Pix, quarantined messages, and the ledger of models"
  location                   = var.region
  delete_contents_on_destroy = false
  max_time_travel_hours      = "168" # rows deleted by mistake stay readable for a week

  dynamic "default_encryption_configuration" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      kms_key_name = default_encryption_configuration.value
    }
  }
}

resource "google_bigquery_table" "tables" {
  for_each = local.tables

  dataset_id          = google_bigquery_dataset.pix.dataset_id
  table_id            = each.key
  description         = each.value.description
  schema              = jsonencode(each.value.schema)
  clustering          = each.value.clustering
  deletion_protection = var.deletion_protection

  time_partitioning {
    type          = "DAY"
    field         = each.value.partition_field
    expiration_ms = try(var.partition_expiry_days[each.key] * 86400000, null)
  }

  dynamic "encryption_configuration" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      kms_key_name = encryption_configuration.value
    }
  }

  lifecycle {
    ignore_changes = [clustering, description, schema]
  }
}

# Views from the same templates as shared/contract/tables.py; its {name} becomes ${name} for templatestring.

locals {
  feature_columns = [for column in local.tables["score_events"].schema : column.name if startswith(column.name, "f_")]

  view_templates = {
    for file in fileset(local.contract, "*.sql") : trimsuffix(file, ".sql") => replace(
      file("${local.contract}/${file}"), "/\\{(\\w+)\\}/", "$$${$1}"
    )
  }

  # Parts of several views, and no views themselves.
  part_templates = {
    for file in fileset("${local.contract}/parts", "*.sql") : trimsuffix(file, ".sql") => replace(
      file("${local.contract}/parts/${file}"), "/\\{(\\w+)\\}/", "$$${$1}"
    )
  }

  view_values = {
    project         = var.project_id
    dataset         = google_bigquery_dataset.pix.dataset_id
    maturity_hours  = floor(24 * var.maturity_days + 0.5)
    as_of           = "CURRENT_TIMESTAMP()"
    since           = "TIMESTAMP '0001-01-01 00:00:00+00'"
    features        = join(", ", [for name in local.feature_columns : "${name} AS ${trimprefix(name, "f_")}"])
    feature_columns = join(",\n  ", [for name in local.feature_columns : "scored.${name}"])
  }

  first_query = templatestring(local.part_templates.first, {
    source = "`${var.project_id}.${google_bigquery_dataset.pix.dataset_id}.score_events`\n    WHERE initiated_at <= CURRENT_TIMESTAMP()"
    number = "history_sequence"
    which  = "TRUE"
  })

  counted_rows = {
    counted       = "SELECT end_to_end_id, side, history_sequence, decided_sequence, place_pending, visited, decided_visited, initiated_at, decision FROM `${var.project_id}.${google_bigquery_dataset.pix.dataset_id}.score_events` WHERE initiated_at <= CURRENT_TIMESTAMP()"
    first_counted = "SELECT * FROM (${local.first_query}) AS first"
  }

  lost_query = templatestring(local.part_templates.lost, local.view_values)

  lost_parts = {
    lost         = local.lost_query
    ends         = templatestring(local.part_templates.ends, { lost = local.lost_query })
    kept_visited = templatestring(local.part_templates.kept, { column = "visited" })
    kept_decided = templatestring(local.part_templates.kept, { column = "decided_visited" })
  }

  counted_queries = {
    for name, rows in local.counted_rows : name => templatestring(local.part_templates.counted, merge(local.view_values, local.lost_parts, {
      placed           = templatestring(local.part_templates.placed, merge(local.lost_parts, { rows = rows }))
      filled_where     = "initiated_at <= CURRENT_TIMESTAMP() AND filled_at <= CURRENT_TIMESTAMP()"
      counted_features = name == "counted" ? "" : join("", [for each in local.feature_columns : ",\n      IF(fill.end_to_end_id IS NULL, placed.${each}, fill.${each}) AS ${each}"])
    }))
  }

  read_first = merge(local.view_values, local.counted_queries, { first = local.first_query })

  # Views whose rows BigQuery stores, with the column that clusters them.
  materialized = { holds = "end_to_end_id", payments_received = "payee_id", payments_sent = "payer_id" }

  views = {
    for name in keys(local.view_templates) :
    name => templatestring(local.view_templates[name], merge(local.read_first, {
      labels  = templatestring(local.view_templates.labels, local.read_first)
      settled = templatestring(local.part_templates.settled, local.read_first)
    }))
  }
}

resource "google_bigquery_table" "views" {
  #checkov:skip=CKV_GCP_80:a view stores no data, so there is nothing to encrypt
  #checkov:skip=CKV_GCP_121:a view holds no data, and is replaced when its text changes
  for_each = { for name, query in local.views : name => query if !contains(keys(local.materialized), name) }

  dataset_id          = google_bigquery_dataset.pix.dataset_id
  table_id            = each.key
  description         = trimprefix(split("\n", local.view_templates[each.key])[0], "-- ")
  deletion_protection = false # a view holds no data

  view {
    query          = each.value
    use_legacy_sql = false
  }

  depends_on = [google_bigquery_table.tables]
}

# Copies for the case desk: of a few columns by account, as no clustering of score_events narrows its rows to those of an
# account, and of the few rows that are held, which the queue would else look for among all. BigQuery adds new rows by itself, and reads the newest ones from the table. They have no partitions, as a year
# of an account would lie in a block of each day; so a row that is deleted makes BigQuery copy all of them again.
resource "google_bigquery_table" "materialized" {
  #checkov:skip=CKV_GCP_121:the rows are those of score_events, and are made again when the text changes
  for_each = local.materialized

  dataset_id          = google_bigquery_dataset.pix.dataset_id
  table_id            = each.key
  description         = trimprefix(split("\n", local.view_templates[each.key])[0], "-- ")
  clustering          = [each.value, local.tables["score_events"].partition_field]
  deletion_protection = false # the rows are those of score_events

  materialized_view {
    query               = local.views[each.key]
    enable_refresh      = true
    refresh_interval_ms = 1800000
  }

  dynamic "encryption_configuration" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      kms_key_name = encryption_configuration.value
    }
  }

  depends_on = [google_bigquery_table.tables]
}

# The functions may append to their own tables but not read them. The role comes from bootstrap/deploy.tf, so that the
# deployment cannot change it.

locals {
  append_role = "projects/${var.project_id}/roles/pixAppend"
}

resource "google_bigquery_table_iam_member" "append" {
  for_each = {
    challenge_model_ledger = { part = "challenge", table = "model_ledger" }
    compare_health         = { part = "compare", table = "health" }
    compare_model_ledger   = { part = "compare", table = "model_ledger" }
    console_reviews        = { part = "console", table = "reviews" }
    decide_quarantine      = { part = "decide", table = "quarantine" }
    decide_score_events    = { part = "decide", table = "score_events" }
    drift_health           = { part = "drift", table = "health" }
    drift_model_ledger     = { part = "drift", table = "model_ledger" }
    label_feedback         = { part = "label", table = "feedback" }
    label_quarantine       = { part = "label", table = "quarantine" }
    monitor_health         = { part = "monitor", table = "health" }
    monitor_model_ledger   = { part = "monitor", table = "model_ledger" }
    operate_model_ledger   = { part = "operate", table = "model_ledger" }
    outcome_late_outcomes  = { part = "outcome", table = "late_outcomes" }
    outcome_outcomes       = { part = "outcome", table = "outcomes" }
    outcome_quarantine     = { part = "outcome", table = "quarantine" }
    probation_model_ledger = { part = "probation", table = "model_ledger" }
    repair_feedback        = { part = "repair", table = "feedback" }
    repair_fills           = { part = "repair", table = "fills" }
    repair_late_outcomes   = { part = "repair", table = "late_outcomes" }
    repair_lost_places     = { part = "repair", table = "lost_places" }
    repair_outcomes        = { part = "repair", table = "outcomes" }
    repair_quarantine      = { part = "repair", table = "quarantine" }
    replay_late_outcomes   = { part = "replay", table = "late_outcomes" }
    replay_lost_places     = { part = "replay", table = "lost_places" }
    retire_model_ledger    = { part = "retire", table = "model_ledger" }
    retrain_model_ledger   = { part = "retrain", table = "model_ledger" }
    score_quarantine       = { part = "score", table = "quarantine" }
    score_score_events     = { part = "score", table = "score_events" }
    skew_model_ledger      = { part = "skew", table = "model_ledger" }
  }

  dataset_id = google_bigquery_dataset.pix.dataset_id
  table_id   = google_bigquery_table.tables[each.value.table].table_id
  role       = local.append_role
  member     = local.accounts[each.value.part].member
}

# jobs.replay loads files into the tables, which needs more than the right to append, and jobs.rotate changes rows.
resource "google_bigquery_table_iam_member" "load" {
  for_each = toset(["feedback", "fills", "outcomes", "reviews", "score_events", "suspicions", "training_sample"])

  dataset_id = google_bigquery_dataset.pix.dataset_id
  table_id   = google_bigquery_table.tables[each.key].table_id
  role       = "roles/bigquery.dataEditor"
  member     = local.accounts["replay"].member
}

# A retraining extends the training sample by a query that reads and inserts.
resource "google_bigquery_table_iam_member" "sample" {
  dataset_id = google_bigquery_dataset.pix.dataset_id
  table_id   = google_bigquery_table.tables["training_sample"].table_id
  role       = "roles/bigquery.dataEditor"
  member     = local.accounts["retrain"].member
}

# The label function looks up the Pix of a report.
resource "google_bigquery_table_iam_member" "lookup" {
  dataset_id = google_bigquery_dataset.pix.dataset_id
  table_id   = google_bigquery_table.tables["score_events"].table_id
  role       = "roles/bigquery.dataViewer"
  member     = local.accounts["label"].member
}

# It also looks up the original of a return, and the earlier states of a report. The decide, the outcome and the score
# function look up a decision that is stored, and decide and score the accounts under suspicion.
resource "google_bigquery_table_iam_member" "lookups" {
  for_each = {
    decide_score_events  = { part = "decide", table = "score_events" }
    decide_suspicions    = { part = "decide", table = "suspicions" }
    label_feedback       = { part = "label", table = "feedback" }
    label_outcomes       = { part = "label", table = "outcomes" }
    outcome_score_events = { part = "outcome", table = "score_events" }
    score_score_events   = { part = "score", table = "score_events" }
    score_suspicions     = { part = "score", table = "suspicions" }
  }

  dataset_id = google_bigquery_dataset.pix.dataset_id
  table_id   = google_bigquery_table.tables[each.value.table].table_id
  role       = "roles/bigquery.dataViewer"
  member     = local.accounts[each.value.part].member
}

# Parts that read single tables. A query of a view needs the right to read the tables behind it too.
resource "google_bigquery_table_iam_member" "readers" {
  for_each = {
    challenge_feedback     = { part = "challenge", table = "feedback" }
    challenge_model_ledger = { part = "challenge", table = "model_ledger" }
    challenge_score_events = { part = "challenge", table = "score_events" }
    operate_model_ledger   = { part = "operate", table = "model_ledger" }
    probation_model_ledger = { part = "probation", table = "model_ledger" }
    probation_score_events = { part = "probation", table = "score_events" }
    retire_model_ledger    = { part = "retire", table = "model_ledger" }
    watch_model_ledger     = { part = "watch", table = "model_ledger" }
    watch_outcomes         = { part = "watch", table = "outcomes" }
    watch_quarantine       = { part = "watch", table = "quarantine" }
    watch_score_events     = { part = "watch", table = "score_events" }
  }

  dataset_id = google_bigquery_dataset.pix.dataset_id
  table_id   = google_bigquery_table.tables[each.value.table].table_id
  role       = "roles/bigquery.dataViewer"
  member     = local.accounts[each.value.part].member
}

resource "google_bigquery_table_iam_member" "view_readers" {
  for_each = { watch_quarantined = { part = "watch", view = "quarantined" } }

  dataset_id = google_bigquery_dataset.pix.dataset_id
  table_id   = google_bigquery_table.views[each.value.view].table_id
  role       = "roles/bigquery.dataViewer"
  member     = local.accounts[each.value.part].member
}

# Parts that read the whole dataset: rows and labels, for training, replay, drift and health.
resource "google_bigquery_dataset_iam_member" "readers" {
  for_each = merge(
    { for part in ["batch", "compare", "console", "drift", "expire", "monitor", "repair", "replay", "retrain", "skew", "snapshot"] : part => local.accounts[part].member },
    { for member in var.analysts : member => member },
  )

  dataset_id = google_bigquery_dataset.pix.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = each.value
}

resource "google_project_iam_member" "analyst_query_jobs" {
  for_each = toset(var.analysts)

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = each.key
}
