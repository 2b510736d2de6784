# One service account for each part. Each grant is beside the resource that it is on. Only roles that Google offers on
# no smaller resource are granted on the project.

resource "google_service_account" "parts" {
  for_each = {
    check    = "Checks pull requests, and may only write logs"
    drift    = "Job: measures drift"
    label    = "Function: stores reports"
    mlflow   = "Serves MLflow"
    operate  = "Job that a person starts: replay, redrive, promote, roll back"
    outcome  = "Function: stores what became of each Pix"
    push     = "Account of Pub/Sub in its calls to the functions"
    repair   = "Job: fills a lost store of history, and rows without places"
    retire   = "Job: removes expired models"
    retrain  = "Job: trains, judges and swaps models"
    schedule = "Account of Cloud Scheduler when it starts jobs"
    score    = "Function: scores transactions"
    snapshot = "Job: writes snapshots of history"
    watch    = "Runs the queries behind alerts"
  }

  account_id   = "pix-${each.key}"
  display_name = "pix-${each.key}"
  description  = each.value
}

# Query jobs belong to the project, so this role cannot be granted on anything smaller. It gives no access to any
# table.
resource "google_project_iam_member" "query_jobs" {
  for_each = toset(["drift", "label", "operate", "outcome", "repair", "retire", "retrain", "snapshot", "watch"])

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.parts[each.key].member
}

resource "google_project_iam_member" "metrics" {
  for_each = toset(["label", "outcome", "score"])

  project = var.project_id
  role    = "roles/telemetry.metricsWriter" # the role that Google's OTLP endpoint requires
  member  = google_service_account.parts[each.key].member
}

resource "google_project_iam_member" "check_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.parts["check"].member
}
