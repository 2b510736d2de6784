# Images that may run: those that the pipeline has attested (infra/deploy/attest.sh). Services, jobs and worker pools of Cloud
# Run name this project's policy of Binary Authorization, and a cluster of GKE may. An owner makes it. pix-attest
# (build.tf) signs with the key, and nobody who deploys does.

locals {
  image_algorithm = "EC_SIGN_P256_SHA256"
}

resource "google_kms_crypto_key" "images" {
  name     = "pix-images"
  key_ring = google_kms_key_ring.pix.id
  purpose  = "ASYMMETRIC_SIGN"

  version_template {
    algorithm        = local.image_algorithm
    protection_level = "HSM"
  }

  lifecycle {
    prevent_destroy = true # without its versions no image that is deployed may start again
  }
}

# Its first version is made with the key, and the others by a person (infra/README.md).
data "google_kms_crypto_key_version" "images" {
  for_each = toset([for version in var.image_key_versions : tostring(version)])

  crypto_key = google_kms_crypto_key.images.id
  version    = tonumber(each.key)
}

# Attestations are occurrences of this note.
resource "google_container_analysis_note" "images" {
  name              = "pix-images"
  short_description = "Images that the pipeline has let pass"

  attestation_authority {
    hint {
      human_readable_name = "pix-images"
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_binary_authorization_attestor" "images" {
  name        = "pix-images"
  description = "Images that the pipeline has let pass"

  attestation_authority_note {
    note_reference = google_container_analysis_note.images.name

    dynamic "public_keys" {
      for_each = data.google_kms_crypto_key_version.images
      content {
        id = "//cloudkms.googleapis.com/v1/${google_kms_crypto_key.images.id}/cryptoKeyVersions/${public_keys.key}" # as gcloud names it

        pkix_public_key {
          public_key_pem      = public_keys.value.public_key[0].pem
          signature_algorithm = local.image_algorithm
        }
      }
    }
  }
}

resource "google_binary_authorization_policy" "images" {
  description                   = "Only images that the pipeline has attested"
  global_policy_evaluation_mode = "ENABLE" # system images of GKE

  dynamic "admission_whitelist_patterns" {
    for_each = var.admitted_images
    content {
      name_pattern = admission_whitelist_patterns.value
    }
  }

  default_admission_rule {
    evaluation_mode         = "REQUIRE_ATTESTATION"
    enforcement_mode        = var.image_admission == "attested" ? "ENFORCED_BLOCK_AND_AUDIT_LOG" : "DRYRUN_AUDIT_LOG_ONLY"
    require_attestations_by = [google_binary_authorization_attestor.images.name]
  }

  depends_on = [google_project_service.apis]
}

# Whoever may deploy could leave the policy out of a service or a job. Only the organisation can forbid that.
resource "google_org_policy_policy" "admission" {
  count = var.require_admission ? 1 : 0

  name   = "projects/${var.project_id}/policies/run.allowedBinaryAuthorizationPolicies"
  parent = "projects/${var.project_id}"

  spec {
    rules {
      values {
        allowed_values = ["default"]
      }
    }
  }

  depends_on = [google_project_service.apis]
}

# One more grant for it is on the project (build.tf).
resource "google_kms_crypto_key_iam_member" "attests" {
  crypto_key_id = google_kms_crypto_key.images.id
  role          = "roles/cloudkms.signerVerifier"
  member        = google_service_account.builders["attest"].member
}

resource "google_container_analysis_note_iam_member" "attests" {
  for_each = toset(["roles/containeranalysis.notes.attacher", "roles/containeranalysis.notes.occurrences.viewer"])

  note   = google_container_analysis_note.images.name
  role   = each.key
  member = google_service_account.builders["attest"].member
}

resource "google_binary_authorization_attestor_iam_member" "attests" {
  attestor = google_binary_authorization_attestor.images.name
  role     = "roles/binaryauthorization.attestorsVerifier"
  member   = google_service_account.builders["attest"].member
}
