# Each environment has its own project, so names need no suffix and no role of staging is valid in production.

data "google_project" "this" {
  project_id = var.project_id
}

locals {
  # Service agents of Google; their addresses contain the project's number.
  agents = {
    iap       = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-iap.iam.gserviceaccount.com"
    pubsub    = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    transfers = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-bigquerydatatransfer.iam.gserviceaccount.com"
  }
}

# Audit logs of reads and writes. BigQuery always writes them; for other services Google logs only administration
# unless configured. The reads of the functions that score in the buckets are exempt: each instance checks for a new model
# every few seconds.
resource "google_project_iam_audit_config" "data" {
  for_each = toset(["secretmanager.googleapis.com", "storage.googleapis.com"])

  project = var.project_id
  service = each.key

  audit_log_config {
    log_type         = "DATA_READ"
    exempted_members = each.key == "storage.googleapis.com" ? [for part in ["decide", "score"] : local.accounts[part].member] : []
  }

  audit_log_config {
    log_type = "DATA_WRITE"
  }
}

# A person makes the triggers of the pipeline (bootstrap/triggers.tf), and has deleted those of before.
removed {
  from = google_cloudbuild_trigger.pipeline

  lifecycle {
    destroy = false
  }
}
