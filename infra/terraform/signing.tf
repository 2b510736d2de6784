# The key that signs models (bootstrap/signing.tf), as functions and jobs know it.

# Its first version is made with the key, and the others by a person (infra/README.md).
data "google_kms_crypto_key_version" "models" {
  for_each = toset([for version in var.model_key_versions : tostring(version)])

  crypto_key = local.model_key
  version    = tonumber(each.key)
}

locals {
  model_key = "projects/${var.project_id}/locations/${var.region}/keyRings/pix/cryptoKeys/pix-models"

  # Public keys as PIX_MODEL_KEYS has them: base64 without the lines of PEM.
  model_keys = join(",", [
    for version in var.model_key_versions :
    replace(data.google_kms_crypto_key_version.models[tostring(version)].public_key[0].pem, "/-----[A-Z ]+-----|\\s/", "")
  ])

  signers = ["challenge", "compare", "probation", "retrain"] # as in bootstrap/accounts.tf

  # The last version signs. Only these jobs know it, and only their accounts have the right to.
  model_signer = "${local.model_key}/cryptoKeyVersions/${var.model_key_versions[length(var.model_key_versions) - 1]}"
}
