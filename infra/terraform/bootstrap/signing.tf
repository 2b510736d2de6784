# The key that signs models. Whoever may write the bucket of models decides nothing: functions believe only what a
# version of this key has signed (shared/scoring/signature.py). Cloud KMS never gives the private key away, and only
# the jobs that train, or move the pointer by themselves, may sign. The deployment reads its public keys, and can neither
# use it nor say who may. But it makes those jobs, which takes the right to act as their accounts, and tells the functions
# which keys to believe: it could let a job sign, by arguments of its own, or have another key believed. No role allows a
# deployment and forbids these: one without the right to start jobs would leave the right to change what a schedule starts.

resource "google_kms_key_ring" "models" {
  name       = "pix" # ../signing.tf names it, and the key
  location   = var.region
  depends_on = [google_project_service.apis]
}

resource "google_kms_crypto_key" "models" {
  name     = "pix-models"
  key_ring = google_kms_key_ring.models.id
  purpose  = "ASYMMETRIC_SIGN"

  version_template {
    algorithm        = "EC_SIGN_P256_SHA256"
    protection_level = var.model_key_protection
  }

  # Without its versions no bundle in the bucket can be believed again.
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "signers" {
  for_each = toset(local.signers)

  crypto_key_id = google_kms_crypto_key.models.id
  role          = "roles/cloudkms.signer"
  member        = google_service_account.parts[each.key].member
}

# Terraform reads a version of the key, then its public half.
resource "google_kms_crypto_key_iam_member" "deploy_reads" {
  for_each = toset(["roles/cloudkms.publicKeyViewer", "roles/cloudkms.viewer"])

  crypto_key_id = google_kms_crypto_key.models.id
  role          = each.key
  member        = google_service_account.deploy.member
}
