# One service account for each part. Each grant is beside the resource that it is on. Only roles that Google offers on
# no smaller resource are granted on the project.

resource "google_service_account" "parts" {
  for_each = {
    batch     = "Spark that a person submits: scores a period by any version"
    challenge = "Job: guards tests of challengers, and takes the steps of their ramps"
    compare   = "Job: compares a challenger with the champion"
    console   = "The case desk"
    decide    = "Function: answers questions about Pix"
    drift     = "Job: measures drift"
    expire    = "Job: ends holds whose deadline has passed"
    label     = "Function: stores reports"
    mlflow    = "Serves MLflow"
    monitor   = "Job: measures how the system is doing"
    operate   = "Job that a person starts, without the key: redrive"
    outcome   = "Function: stores what became of each Pix"
    probation = "Job: looks at a model that has just begun to serve"
    push      = "Account of Pub/Sub in its calls to the functions"
    repair    = "Job: fills a lost store of history, and rows without places"
    replay    = "Job that a person starts, with the key: replay, fill, rotate"
    retire    = "Job: removes expired models"
    retrain   = "Job: trains, judges, signs and swaps models"
    schedule  = "Account of Cloud Scheduler when it starts jobs"
    score     = "Function: scores transactions"
    skew      = "Job: compares served features with replayed ones"
    snapshot  = "Job: writes snapshots of history"
    watch     = "Runs the queries behind alerts"
  }

  account_id   = "pix-${each.key}"
  display_name = "pix-${each.key}"
  description  = each.value
}

# Query jobs belong to the project, so this role cannot be granted on anything smaller. It gives no access to any
# table.
resource "google_project_iam_member" "query_jobs" {
  for_each = toset([
    "batch", "challenge", "compare", "console", "decide", "drift", "expire", "label", "monitor", "operate", "outcome",
    "probation", "repair", "replay", "retire", "retrain", "score", "skew", "snapshot", "watch"
  ])

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.parts[each.key].member
}

resource "google_project_iam_member" "metrics" {
  for_each = toset(["decide", "label", "outcome", "score"])

  project = var.project_id
  role    = "roles/telemetry.metricsWriter" # the role that Google's OTLP endpoint requires
  member  = google_service_account.parts[each.key].member
}
