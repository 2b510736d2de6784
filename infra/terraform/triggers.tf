# Triggers of the pipeline, made if `repository` names a repository connected to Cloud Build. In staging, pull requests and
# main are checked, and main is built and deployed, by three accounts; in production, a tag is planned and then deployed, each
# after approval.

locals {
  deploy_substitutions = { _REGION = var.region }
  all_triggers = {
    staging = {
      pix-check = {
        file          = "infra/deploy/cloudbuild.checks.yaml"
        pull_request  = "^main$"
        branch        = null
        tag           = null
        account       = local.test_account
        substitutions = {}
      }
      pix-test = {
        file          = "infra/deploy/cloudbuild.checks.yaml"
        pull_request  = null
        branch        = "^main$"
        tag           = null
        account       = local.test_account
        substitutions = {}
      }
      pix-build = {
        file         = "cloudbuild.yaml"
        pull_request = null
        branch       = "^main$"
        tag          = null
        account      = local.build_account
        substitutions = merge(local.deploy_substitutions, {
          _BASE_DIGEST = var.base_digest
          _BUILDER     = var.builder
          _RUN_IMAGE   = var.run_image
        })
      }
      pix-deploy = {
        file          = "infra/deploy/cloudbuild.staging.yaml"
        pull_request  = null
        branch        = "^main$"
        tag           = null
        account       = local.deploy_account
        substitutions = local.deploy_substitutions
      }
    }
    production = {
      pix-deploy = {
        file          = "infra/deploy/cloudbuild.production.yaml"
        pull_request  = null
        branch        = null
        tag           = "^v[0-9].*$"
        account       = local.deploy_account
        substitutions = local.deploy_substitutions
      }
      pix-plan = {
        file          = "infra/deploy/cloudbuild.plan.yaml"
        pull_request  = null
        branch        = null
        tag           = "^v[0-9].*$"
        account       = local.deploy_account
        substitutions = merge(local.deploy_substitutions, { _FROM_REGISTRY = var.promote_from })
      }
    }
  }

  build_account  = "projects/${var.project_id}/serviceAccounts/pix-build@${var.project_id}.iam.gserviceaccount.com"  # made by bootstrap/build.tf
  test_account   = "projects/${var.project_id}/serviceAccounts/pix-test@${var.project_id}.iam.gserviceaccount.com"   # made by bootstrap/build.tf
  deploy_account = "projects/${var.project_id}/serviceAccounts/pix-deploy@${var.project_id}.iam.gserviceaccount.com" # made by bootstrap/deploy.tf
  triggers       = { for name, trigger in local.all_triggers[var.environment] : name => trigger if var.repository != null }
}

resource "google_cloudbuild_trigger" "pipeline" {
  for_each = local.triggers

  name            = each.key
  description     = each.value.file
  location        = var.region
  filename        = each.value.file
  service_account = each.value.account
  substitutions   = each.value.substitutions

  repository_event_config {
    repository = var.repository

    dynamic "pull_request" {
      for_each = each.value.pull_request == null ? [] : [each.value.pull_request]
      content {
        branch          = pull_request.value
        comment_control = "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY" # a pull request from outside runs only after a comment of a maintainer
      }
    }

    dynamic "push" {
      for_each = each.value.pull_request == null ? [each.value] : []
      content {
        branch = push.value.branch
        tag    = push.value.tag
      }
    }
  }

  approval_config {
    approval_required = each.value.tag != null # also of the plan, as the code of a tag runs as the deployment from its first step
  }

  lifecycle {
    precondition {
      condition     = !anytrue([for line in split("\n", file("${path.module}/../../${each.value.file}")) : can(regex("^ *name: [^@]*$", line))])
      error_message = "Builders of ${each.value.file} have no digest: run infra/deploy/digests.sh, and commit the files."
    }
  }
}
