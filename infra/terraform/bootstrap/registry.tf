# Registry of the images of functions and jobs, which must exist before the first build. The pipeline pushes images to
# staging, and copies them from there to production.

resource "google_artifact_registry_repository" "images" {
  repository_id          = "pix"
  description            = "Images of functions and jobs"
  location               = var.region
  format                 = "DOCKER"
  kms_key_name           = local.kms_key
  cleanup_policy_dry_run = false

  docker_config {
    immutable_tags = true # what was scanned and tried under a tag stays what the tag names
  }

  # Keep the newest images, so that a rollback always has one; delete the others once they are old.
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"

    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "${var.image_retention_days * 86400}s"
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.agents, google_project_service.apis]
}

resource "google_artifact_registry_repository_iam_member" "readers" {
  for_each = toset(var.image_readers)

  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = each.key
}

# Production takes only what has been deployed here, as the status of the builds says.
resource "google_project_iam_member" "image_readers" {
  for_each = toset(var.image_readers)

  project    = var.project_id
  role       = "roles/cloudbuild.builds.viewer"
  member     = each.key
  depends_on = [google_project_service.apis]
}

resource "google_artifact_registry_repository_iam_member" "deploy" {
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.deploy.member
}
