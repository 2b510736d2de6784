# One service account for each part. A person makes them, in bootstrap/accounts.tf: the deployment may run parts as them, and
# grant them roles, but can neither make, change nor impersonate any. Each grant is beside the resource that it is on.
# Only roles that Google offers on no smaller resource are granted on the project.

locals {
  accounts = {
    for part, description in yamldecode(file("${path.module}/parts.yaml")) : part => {
      description = description
      email       = "pix-${part}@${var.project_id}.iam.gserviceaccount.com"
      member      = "serviceAccount:pix-${part}@${var.project_id}.iam.gserviceaccount.com"
      name        = "projects/${var.project_id}/serviceAccounts/pix-${part}@${var.project_id}.iam.gserviceaccount.com"
    }
  }
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
  member  = local.accounts[each.key].member
}

resource "google_project_iam_member" "metrics" {
  for_each = toset(["decide", "label", "outcome", "score"])

  project = var.project_id
  role    = "roles/telemetry.metricsWriter" # the role that Google's OTLP endpoint requires
  member  = local.accounts[each.key].member
}
