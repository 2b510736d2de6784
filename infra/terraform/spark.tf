# Batches of Spark that a person submits (Dataproc Serverless): jobs.batch_score over a period that one machine would
# take too long for. Nothing runs, and nothing is paid, until one is submitted (infra/README.md).

# The role that Dataproc requires of the account of a batch; it offers it on the project only.
resource "google_project_iam_member" "batch" {
  project = var.project_id
  role    = "roles/dataproc.worker"
  member  = local.accounts["batch"].member
}

# Driver and executors of a batch call each other; no other instance has their account.
resource "google_compute_firewall" "batch" {
  name        = "pix-batch"
  description = "Driver and executors of a Spark batch call each other"
  network     = google_compute_network.pix.id
  direction   = "INGRESS"

  source_service_accounts = [local.accounts["batch"].email]
  target_service_accounts = [local.accounts["batch"].email]

  allow {
    protocol = "tcp"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}
