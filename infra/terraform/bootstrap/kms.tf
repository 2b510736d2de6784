# A ring of keys beside that of models (signing.tf): the one by which images are attested (admission.tf), and with make_kms_key
# one for everything stored. The deployment administers no key. Each service of Google encrypts and decrypts as an agent of
# its own, which must exist before.

locals {
  kms_count = var.make_kms_key ? 1 : 0
  kms_key   = var.make_kms_key ? google_kms_crypto_key.pix[0].id : var.kms_key

  # The agent of each service that stores something.
  kms_agents = {
    artifact_registry = "service-${data.google_project.this.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    bigquery          = "bq-${data.google_project.this.number}@bigquery-encryption.iam.gserviceaccount.com"
    cloud_run         = "service-${data.google_project.this.number}@serverless-robot-prod.iam.gserviceaccount.com"
    cloud_sql         = "service-${data.google_project.this.number}@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    memorystore       = "service-${data.google_project.this.number}@gcp-sa-memorystore.iam.gserviceaccount.com"
    pubsub            = "service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    secret_manager    = "service-${data.google_project.this.number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    storage           = "service-${data.google_project.this.number}@gs-project-accounts.iam.gserviceaccount.com"
  }
}

data "google_project" "this" {
  project_id = var.project_id
  depends_on = [google_project_service.apis]
}

resource "google_kms_key_ring" "pix" {
  name       = "pix-bootstrap"
  location   = var.region
  depends_on = [google_project_service.apis]
}

resource "google_kms_crypto_key" "pix" {
  count = local.kms_count

  name            = "pix"
  key_ring        = google_kms_key_ring.pix.id
  rotation_period = "${var.kms_rotation_days * 86400}s" # earlier versions stay, as they decrypt what they encrypted

  lifecycle {
    prevent_destroy = true # without the key nothing that is stored can be read again
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = { for service, agent in local.kms_agents : service => agent if var.make_kms_key }

  crypto_key_id = google_kms_crypto_key.pix[0].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"
}
