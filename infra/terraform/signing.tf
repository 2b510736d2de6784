# The key that signs models. Whoever may write the bucket of models decides nothing: functions believe only what a
# version of this key has signed (shared/scoring/signature.py). Cloud KMS never gives the private key away, and only
# the jobs that train, or move the pointer by themselves, may sign.

resource "google_kms_crypto_key" "models" {
  name     = "pix-models"
  key_ring = "projects/${var.project_id}/locations/${var.region}/keyRings/pix" # made by bootstrap/kms.tf
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

# Its first version is made with the key, and the others by a person (infra/README.md).
data "google_kms_crypto_key_version" "models" {
  for_each = toset([for version in var.model_key_versions : tostring(version)])

  crypto_key = google_kms_crypto_key.models.id
  version    = tonumber(each.key)
}

locals {
  # Public keys as PIX_MODEL_KEYS has them: base64 without the lines of PEM.
  model_keys = join(",", [
    for version in var.model_key_versions :
    replace(data.google_kms_crypto_key_version.models[tostring(version)].public_key[0].pem, "/-----[A-Z ]+-----|\\s/", "")
  ])

  signers = ["challenge", "compare", "probation", "retrain"]

  # The last version signs. Only these jobs know it, and only their accounts have the right to.
  model_signer = "${google_kms_crypto_key.models.id}/cryptoKeyVersions/${var.model_key_versions[length(var.model_key_versions) - 1]}"
}

resource "google_kms_crypto_key_iam_member" "signers" {
  for_each = toset(local.signers)

  crypto_key_id = google_kms_crypto_key.models.id
  role          = "roles/cloudkms.signer"
  member        = google_service_account.parts[each.key].member
}
