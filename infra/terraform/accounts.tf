# One account for each part. What each may do stands beside the resource that it may do it to; nothing is granted on
# the project except where Google knows no smaller place.

resource "google_service_account" "parts" {
  for_each = {
    check    = "Checks what is proposed, and may do nothing but log"
    drift    = "Job: measures drift"
    label    = "Function: stores reports"
    mlflow   = "Serves MLflow"
    operate  = "Job that a person starts: replay, redrive, promote, roll back"
    push     = "By which Pub/Sub calls the functions"
    retire   = "Job: removes what has passed its time"
    retrain  = "Job: trains, judges and swaps models"
    schedule = "By which Cloud Scheduler starts the jobs"
    score    = "Function: scores transactions"
    watch    = "Runs the queries behind alerts"
  }

  account_id   = "pix-${each.key}"
  display_name = "pix-${each.key}"
  description  = each.value
}

# Query jobs belong to the project, so this role cannot be given anywhere smaller; it lets nobody read a table.
resource "google_project_iam_member" "query_jobs" {
  for_each = toset(["drift", "label", "operate", "retire", "retrain", "watch"])

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.parts[each.key].member
}

resource "google_project_iam_member" "metrics" {
  for_each = toset(["label", "score"])

  project = var.project_id
  role    = "roles/telemetry.metricsWriter" # what Google's OTLP endpoint asks for
  member  = google_service_account.parts[each.key].member
}

resource "google_project_iam_member" "check_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.parts["check"].member
}
