# Three accounts of Cloud Build that each do one thing before a deployment. pix-test runs the code of every package, and may read
# the source and write logs. pix-build builds the images and pushes them, and runs no code of a package (cloudbuild.yaml).
# pix-attest attests what pix-test has checked and pix-build pushed (infra/deploy/cloudbuild.attest.yaml), in production what it
# copies from there (infra/deploy/cloudbuild.promote.yaml); it runs gcloud and crane alone. None deploys, and whoever deploys can
# neither act as one of them nor push. pix-test does not attest, though it knows the result of the tests: every package that
# they import could attest anything then. Production copies images, so it has pix-attest alone.

locals {
  build_accounts = {
    attest = "Account of Cloud Build that attests images"
    build  = "Account of Cloud Build that builds and pushes"
    test   = "Account of Cloud Build that tests, without any right"
  }
  builders = { for name, description in local.build_accounts : name => description if name == "attest" || var.environment == "staging" }

  # Occurrences are valid by the key alone (admission.tf).
  attest_roles = {
    staging = {
      "roles/cloudbuild.builds.viewer"             = "whether the checks and the build of the images have succeeded"
      "roles/containeranalysis.occurrences.editor" = "attestations of images"
    }
    production = {
      "roles/containeranalysis.occurrences.editor" = "attestations of images"
      "roles/ondemandscanning.admin"               = "scans of the images that it has copied"
    }
  }
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

resource "google_project_iam_member" "attest" {
  for_each = local.attest_roles[var.environment]

  project = var.project_id
  role    = each.key
  member  = google_service_account.builders["attest"].member
}

resource "google_project_iam_member" "build_scans" {
  for_each = toset(var.environment == "staging" ? ["build"] : [])

  project = var.project_id
  role    = "roles/ondemandscanning.admin"
  member  = google_service_account.builders[each.key].member
}

# Only the build pushes to staging, and only what attests copies to production.
resource "google_artifact_registry_repository_iam_member" "builders" {
  for_each = var.environment == "staging" ? { attest = "reader", build = "writer" } : { attest = "writer" }

  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.${each.value}"
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
