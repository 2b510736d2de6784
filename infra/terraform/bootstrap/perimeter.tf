# A perimeter of VPC Service Controls around the project, with access_policy: what it restricts can be read and written from
# within alone, or by the rules of perimeter_ingress and perimeter_egress. It only reports until perimeter_enforced. An
# administrator of the organisation's access policy applies it.

locals {
  # Services that hold rows, messages, models, images, keys or logs, or run code that reads them.
  restricted_services = [
    for name in [
      "artifactregistry", "bigquery", "bigquerydatatransfer", "binaryauthorization", "cloudbuild", "cloudkms", "containeranalysis",
      "dataproc", "logging", "memorystore", "monitoring", "ondemandscanning", "pubsub", "run", "secretmanager", "sqladmin", "storage"
    ] : "${name}.googleapis.com"
  ]
  perimeter_project = "projects/${data.google_project.this.number}"
}

resource "google_access_context_manager_service_perimeter" "pix" {
  count = var.access_policy == null ? 0 : 1

  parent                    = "accessPolicies/${var.access_policy}"
  name                      = "accessPolicies/${var.access_policy}/servicePerimeters/pix_${var.environment}"
  title                     = "pix_${var.environment}"
  description               = "Scoring, history and learning of Pix fraud"
  use_explicit_dry_run_spec = !var.perimeter_enforced

  # The two blocks are equal, and one of them is there: Terraform has no name for a block that a value chooses.
  dynamic "spec" {
    for_each = var.perimeter_enforced ? [] : [local.perimeter_project]
    content {
      resources           = [spec.value]
      restricted_services = local.restricted_services

      dynamic "ingress_policies" {
        for_each = var.perimeter_ingress
        content {
          title = ingress_policies.key

          ingress_from {
            identities = ingress_policies.value.identities

            sources {
              access_level = "*"
            }
          }

          ingress_to {
            resources = [local.perimeter_project]

            dynamic "operations" {
              for_each = ingress_policies.value.services
              content {
                service_name = operations.value

                method_selectors {
                  method = "*"
                }
              }
            }
          }
        }
      }

      dynamic "egress_policies" {
        for_each = var.perimeter_egress
        content {
          title = egress_policies.key

          egress_from {
            identities = egress_policies.value.identities
          }

          egress_to {
            resources = egress_policies.value.projects

            dynamic "operations" {
              for_each = egress_policies.value.services
              content {
                service_name = operations.value

                method_selectors {
                  method = "*"
                }
              }
            }
          }
        }
      }
    }
  }

  dynamic "status" {
    for_each = var.perimeter_enforced ? [local.perimeter_project] : []
    content {
      resources           = [status.value]
      restricted_services = local.restricted_services

      dynamic "ingress_policies" {
        for_each = var.perimeter_ingress
        content {
          title = ingress_policies.key

          ingress_from {
            identities = ingress_policies.value.identities

            sources {
              access_level = "*"
            }
          }

          ingress_to {
            resources = [local.perimeter_project]

            dynamic "operations" {
              for_each = ingress_policies.value.services
              content {
                service_name = operations.value

                method_selectors {
                  method = "*"
                }
              }
            }
          }
        }
      }

      dynamic "egress_policies" {
        for_each = var.perimeter_egress
        content {
          title = egress_policies.key

          egress_from {
            identities = egress_policies.value.identities
          }

          egress_to {
            resources = egress_policies.value.projects

            dynamic "operations" {
              for_each = egress_policies.value.services
              content {
                service_name = operations.value

                method_selectors {
                  method = "*"
                }
              }
            }
          }
        }
      }
    }
  }

  depends_on = [google_project_service.apis]
}
