# The workers, as Cloud Run worker pools, with feed = pull. They run the images of the functions: the launcher of
# Google's buildpacks sets the paths of the packages, and starts the worker in place of the web server.
#
# A pool has no health check in this version of the provider: a worker that fails ends, and Cloud Run starts it again.

locals {
  workers = var.feed == "pull" ? local.fed : {}
}

resource "google_cloud_run_v2_worker_pool" "workers" {
  for_each = local.workers

  name                = "pix-${each.key}-pull"
  description         = local.accounts[each.key].description
  location            = var.region
  launch_stage        = "BETA"
  deletion_protection = var.deletion_protection

  binary_authorization {
    use_default = true # the policy of bootstrap/admission.tf
  }

  scaling {
    manual_instance_count = var.worker_instances[each.key]
  }

  template {
    service_account = local.accounts[each.key].email
    encryption_key  = var.kms_key

    vpc_access {
      egress = "ALL_TRAFFIC"

      network_interfaces {
        network    = google_compute_network.pix.id
        subnetwork = google_compute_subnetwork.pix.id
        tags       = [local.valkey_tag]
      }
    }

    containers {
      image   = var.function_images[each.key]
      command = ["/cnb/lifecycle/launcher"]
      args    = ["--", "python", "pull.py"]

      resources {
        limits = {
          cpu    = each.value.cpu
          memory = each.value.memory
        }
      }

      dynamic "env" {
        for_each = merge(local.settings, local.telemetry, var.settings)
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = local.hmac_env
        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = env.value.secret
              version = env.value.version
            }
          }
        }
      }

      volume_mounts {
        name       = "valkey-ca"
        mount_path = local.valkey_ca_folder
      }
    }

    volumes {
      name = "valkey-ca"

      secret {
        secret = google_secret_manager_secret_version.valkey_ca.secret

        items {
          path    = "ca.pem"
          version = google_secret_manager_secret_version.valkey_ca.version
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  # See functions.tf. A worker without the right to its subscription ends and is started again until it has it.
  depends_on = [google_cloud_run_v2_service.functions]
}
