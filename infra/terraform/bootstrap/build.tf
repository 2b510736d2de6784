# Two accounts of Cloud Build for the code of main and of pull requests. The one that tests runs the code of every package, and
# may read the source and write logs. The other builds the images and pushes them, and runs no code of a package
# (cloudbuild.yaml). Neither attests or deploys. Production copies images, so it has neither.

locals {
  build_accounts = {
    build = "Account of Cloud Build that builds and pushes"
    test  = "Account of Cloud Build that tests, without any right"
  }
  builders = var.environment == "staging" ? local.build_accounts : {}
}

resource "google_service_account" "builders" {
  for_each = local.builders

  account_id   = "pix-${each.key}"
  display_name = "pix-${each.key}"
  description  = each.value
  depends_on   = [google_project_service.apis]
}

resource "google_project_iam_member" "builders_log" {
  for_each = local.builders

  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.builders[each.key].member
}

resource "google_project_iam_member" "build_scans" {
  for_each = toset(var.environment == "staging" ? ["build"] : [])

  project = var.project_id
  role    = "roles/ondemandscanning.admin"
  member  = google_service_account.builders[each.key].member
}

resource "google_artifact_registry_repository_iam_member" "build" {
  for_each = toset(var.environment == "staging" ? ["build"] : [])

  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builders[each.key].member
}

# The source that a person or GitHub uploads for a build; a trigger gets its own from the repository.
resource "google_storage_bucket_iam_member" "builders_source" {
  for_each = var.state_bucket == null ? {} : local.builders

  bucket = var.state_bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.builders[each.key].member

  condition {
    title       = "only-source"
    description = local.source_of_builds.description
    expression  = local.source_of_builds.expression
  }
}
