# With feed = kubernetes, workers and jobs run in a GKE cluster of this project, from infra/kubernetes: its service accounts,
# all in the namespace pix, act as the accounts of the parts by Workload Identity. The cluster itself is made elsewhere.

locals {
  on_kubernetes = var.feed == "kubernetes"
  identities    = "${var.project_id}.svc.id.goog"
}

resource "google_service_account_iam_member" "kubernetes" {
  for_each = {
    for part in [
      "challenge", "compare", "console", "decide", "drift", "expire", "label", "monitor", "operate", "outcome", "probation",
      "repair", "replay", "retire", "retrain", "score", "skew", "snapshot"
    ] : part => part if local.on_kubernetes
  }

  service_account_id = google_service_account.parts[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${local.identities}[pix/pix-${each.key}]"
}

# GKE keeps Secrets in the cluster equal to these, as the account pix-secrets.
resource "google_secret_manager_secret_iam_member" "kubernetes" {
  for_each = { for part in ["hmac_key", "valkey_ca"] : part => part if local.on_kubernetes }

  secret_id = google_secret_manager_secret.secrets[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = "principal://iam.googleapis.com/projects/${data.google_project.this.number}/locations/global/workloadIdentityPools/${local.identities}/subject/ns/pix/sa/pix-secrets"
}
