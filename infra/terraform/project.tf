# An environment is a project of its own: names need no suffix, and no role reaches from staging into production.

data "google_project" "this" {
  project_id = var.project_id
}

locals {
  # Agents by which Google's services act; their addresses are made of the project's number.
  agents = {
    pubsub    = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    transfers = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-bigquerydatatransfer.iam.gserviceaccount.com"
  }
}

# Who read or changed what. BigQuery always logs that; of the others Google logs only administration by itself. The score
# function is left out for the bucket, where each of its instances looks for a new model every few seconds.
resource "google_project_iam_audit_config" "data" {
  for_each = toset(["secretmanager.googleapis.com", "storage.googleapis.com"])

  project = var.project_id
  service = each.key

  audit_log_config {
    log_type         = "DATA_READ"
    exempted_members = each.key == "storage.googleapis.com" ? [google_service_account.parts["score"].member] : []
  }

  audit_log_config {
    log_type = "DATA_WRITE"
  }
}
