# Triggers of the pipeline, made if `repository` names a repository connected to Cloud Build. In staging, pull requests and
# main are checked, and main is built, attested and deployed, by four accounts; in production, a tag is attested, planned and
# then deployed, each after approval. A person makes them: whoever makes a trigger has to be able to act as its account.

locals {
  region_substitution = { _REGION = var.region }
  all_triggers = {
    staging = {
      pix-attest = {
        file          = "infra/deploy/cloudbuild.attest.yaml"
        pull_request  = null
        branch        = "^main$"
        tag           = null
        account       = "attest"
        substitutions = local.region_substitution
      }
      pix-build = {
        file         = "cloudbuild.yaml"
        pull_request = null
        branch       = "^main$"
        tag          = null
        account      = "build"
        substitutions = merge(local.region_substitution, {
          _BASE_DIGEST = var.base_digest
          _BUILDER     = var.builder
          _RUN_IMAGE   = var.run_image
        })
      }
      pix-check = {
        file          = "infra/deploy/cloudbuild.checks.yaml"
        pull_request  = "^main$"
        branch        = null
        tag           = null
        account       = "test"
        substitutions = {}
      }
      pix-deploy = {
        file          = "infra/deploy/cloudbuild.staging.yaml"
        pull_request  = null
        branch        = "^main$"
        tag           = null
        account       = "deploy"
        substitutions = local.region_substitution
      }
      pix-test = {
        file          = "infra/deploy/cloudbuild.checks.yaml"
        pull_request  = null
        branch        = "^main$"
        tag           = null
        account       = "test"
        substitutions = {}
      }
    }
    production = {
      pix-attest = {
        file          = "infra/deploy/cloudbuild.promote.yaml"
        pull_request  = null
        branch        = null
        tag           = "^v[0-9].*$"
        account       = "attest"
        substitutions = merge(local.region_substitution, { _FROM_REGISTRY = var.promote_from })
      }
      pix-deploy = {
        file          = "infra/deploy/cloudbuild.production.yaml"
        pull_request  = null
        branch        = null
        tag           = "^v[0-9].*$"
        account       = "deploy"
        substitutions = local.region_substitution
      }
      pix-plan = {
        file          = "infra/deploy/cloudbuild.plan.yaml"
        pull_request  = null
        branch        = null
        tag           = "^v[0-9].*$"
        account       = "deploy"
        substitutions = local.region_substitution
      }
    }
  }

  triggers = { for name, trigger in local.all_triggers[var.environment] : name => trigger if var.repository != null }
}

resource "google_cloudbuild_trigger" "pipeline" {
  for_each = local.triggers

  name            = each.key
  description     = each.value.file
  location        = var.region
  filename        = each.value.file
  service_account = each.value.account == "deploy" ? google_service_account.deploy.name : google_service_account.builders[each.value.account].name
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
    approval_required = each.value.tag != null # also of the first two, as the code of a tag runs as their accounts from its first step
  }

  lifecycle {
    precondition {
      condition     = !anytrue([for line in split("\n", file("${path.module}/../../../${each.value.file}")) : can(regex("^ *name: [^@]*$", line))])
      error_message = "Builders of ${each.value.file} have no digest: run infra/deploy/digests.sh, and commit the files."
    }
  }
}
