# Triggers of the pipeline, made if `repository` names a repository connected to Cloud Build. In staging, a pull
# request is checked and main is deployed; in production, a tag is deployed after approval.

locals {
  deploy_substitutions = { _REGION = var.region }
  all_triggers = {
    staging = {
      pix-check = {
        file          = "infra/deploy/cloudbuild.checks.yaml"
        pull_request  = "^main$"
        branch        = null
        tag           = null
        account       = google_service_account.parts["check"].id
        substitutions = {}
      }
      pix-deploy = {
        file         = "cloudbuild.yaml"
        pull_request = null
        branch       = "^main$"
        tag          = null
        account      = local.deploy_account
        substitutions = merge(local.deploy_substitutions, {
          _BASE_DIGEST = var.base_digest
          _BUILDER     = var.builder
        })
      }
    }
    production = {
      pix-deploy = {
        file          = "infra/deploy/cloudbuild.production.yaml"
        pull_request  = null
        branch        = null
        tag           = "^v[0-9].*$"
        account       = local.deploy_account
        substitutions = merge(local.deploy_substitutions, { _FROM_REGISTRY = var.promote_from })
      }
    }
  }

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
    approval_required = each.value.tag != null
  }
}
