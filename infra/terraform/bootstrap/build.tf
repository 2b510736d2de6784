# The account of Cloud Build that tests the code of main, builds its images and pushes them, and may do nothing else: code
# of a package that runs in a test gets no way to what serves. Production copies images, so it has no such account.

locals {
  build_count = var.environment == "staging" ? 1 : 0
}

resource "google_service_account" "build" {
  count = local.build_count

  account_id   = "pix-build"
  display_name = "pix-build"
  description  = "Account of Cloud Build that tests, builds and pushes"
  depends_on   = [google_project_service.apis]
}

resource "google_project_iam_member" "build" {
  for_each = local.build_count == 0 ? {} : {
    "roles/logging.logWriter"      = "the logs of a build"
    "roles/ondemandscanning.admin" = "scans of images"
  }

  project = var.project_id
  role    = each.key
  member  = google_service_account.build[0].member
}

resource "google_artifact_registry_repository_iam_member" "build" {
  count = local.build_count

  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build[0].member
}

# The source that a person or GitHub uploads for a build; a trigger gets its own from the repository.
resource "google_storage_bucket_iam_member" "build_source" {
  count = var.state_bucket == null ? 0 : local.build_count

  bucket = var.state_bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.build[0].member

  condition {
    title       = "only-source"
    description = local.source_of_builds.description
    expression  = local.source_of_builds.expression
  }
}
