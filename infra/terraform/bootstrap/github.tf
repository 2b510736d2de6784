# GitHub Actions may start the pipeline (.github/workflows/deploy.yml), by Workload Identity Federation and without any key:
# only this repository, by its number, which nobody can take over with its name; only main in staging and tags in
# production; and only jobs of the GitHub environment of the same name, so that production's reviewers have agreed.

locals {
  source_of_builds = {
    description = "The source of a build, beside the state"
    expression  = "resource.name.startsWith('projects/_/buckets/${var.state_bucket == null ? "" : var.state_bucket}/objects/source/')"
  }
  github_count = var.github_repository_id == null ? 0 : 1
  github_starts = local.github_count == 0 ? {} : merge(
    { deploy = google_service_account.deploy.name },
    { for name, account in google_service_account.builders : name => account.name },
  )
  github_ref = { staging = "assertion.ref == 'refs/heads/main'", production = "assertion.ref.startsWith('refs/tags/v')" }
}

resource "google_iam_workload_identity_pool" "github" {
  count = local.github_count

  workload_identity_pool_id = "pix-github"
  display_name              = "pix-github"
  description               = "GitHub Actions"
  depends_on                = [google_project_service.apis]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125:the condition names the repository by its number and the ref, and the environment besides
  count = local.github_count

  workload_identity_pool_id          = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "github"
  attribute_condition = join(" && ", [
    "assertion.repository_id == '${var.github_repository_id}'",
    "assertion.environment == '${var.environment}'",
    local.github_ref[var.environment],
  ])

  attribute_mapping = {
    "google.subject"          = "assertion.sub"
    "attribute.repository_id" = "assertion.repository_id"
  }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account" "github" {
  count = local.github_count

  account_id   = "pix-github"
  display_name = "pix-github"
  description  = "GitHub Actions, which starts the pipeline"
  depends_on   = [google_project_service.apis]
}

resource "google_service_account_iam_member" "github" {
  count = local.github_count

  service_account_id = google_service_account.github[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/attribute.repository_id/${var.github_repository_id}"
}

# It starts builds that run as the accounts of tests, build and deployment, from a source that it uploads.
resource "google_project_iam_member" "github" {
  for_each = local.github_count == 0 ? {} : {
    "roles/cloudbuild.builds.editor"          = "to start a build and to wait for its end"
    "roles/serviceusage.serviceUsageConsumer" = "calls on behalf of the project"
  }

  project = var.project_id
  role    = each.key
  member  = google_service_account.github[0].member
}

resource "google_service_account_iam_member" "github_starts" {
  for_each = local.github_starts

  service_account_id = each.value
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.github[0].member
}

resource "google_storage_bucket_iam_member" "github_bucket" {
  count = local.github_count

  bucket = var.state_bucket
  role   = "roles/storage.legacyBucketReader" # gcloud asks whether the bucket exists
  member = google_service_account.github[0].member
}

resource "google_storage_bucket_iam_member" "github_source" {
  count = local.github_count

  bucket = var.state_bucket
  role   = "roles/storage.objectUser"
  member = google_service_account.github[0].member

  condition {
    title       = "only-source"
    description = local.source_of_builds.description
    expression  = local.source_of_builds.expression
  }
}
