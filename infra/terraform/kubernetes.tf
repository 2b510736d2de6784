# With feed = kubernetes, workers and jobs run in a GKE cluster of this project, from infra/kubernetes: its service accounts,
# all in the namespace pix, act as the accounts of the parts by Workload Identity (bootstrap/accounts.tf). The cluster itself is
# made elsewhere.

locals {
  on_kubernetes = var.feed == "kubernetes"
  identities    = "${var.project_id}.svc.id.goog"
}

# GKE keeps Secrets in the cluster equal to these, as the account pix-secrets.
resource "google_secret_manager_secret_iam_member" "kubernetes" {
  for_each = { for part in ["hmac_key", "valkey_ca"] : part => part if local.on_kubernetes }

  secret_id = google_secret_manager_secret.secrets[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = "principal://iam.googleapis.com/projects/${data.google_project.this.number}/locations/global/workloadIdentityPools/${local.identities}/subject/ns/pix/sa/pix-secrets"
}
