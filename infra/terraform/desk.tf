# The case desk, at var.desk_domain if that is set. A load balancer with Identity-Aware Proxy stands before it: only IAP's
# agent may call the service, IAP lets in var.desk_users, and it signs who they are, which the desk verifies.
# PIX_DESK_ROLES gives them roles. IAP without a load balancer is not in this version of the provider.

locals {
  desk_count = var.desk_domain == null ? 0 : 1
  desk_name  = "pix-console"
}

resource "google_cloud_run_v2_service" "desk" {
  count = local.desk_count

  name                = local.desk_name
  description         = local.accounts["console"].description
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  deletion_protection = var.deletion_protection

  binary_authorization {
    use_default = true # the policy of bootstrap/admission.tf
  }

  template {
    service_account                  = local.accounts["console"].email
    timeout                          = "60s"
    max_instance_request_concurrency = 40 # each page waits for its queries
    encryption_key                   = var.kms_key

    scaling {
      min_instance_count = 0
      max_instance_count = var.desk_max_instances
    }

    vpc_access {
      egress = "ALL_TRAFFIC"

      network_interfaces {
        network    = google_compute_network.pix.id
        subnetwork = google_compute_subnetwork.pix.id
        tags       = [local.valkey_tag]
      }
    }

    containers {
      image = var.desk_image

      resources {
        cpu_idle          = true
        startup_cpu_boost = true

        limits = {
          cpu    = "1"
          memory = "512Mi"
        }
      }

      dynamic "env" {
        for_each = merge(local.settings, var.settings, var.desk_settings, {
          PIX_DESK_AUDIENCE = "/projects/${data.google_project.this.number}/global/backendServices/${google_compute_backend_service.desk[0].generated_id}"
          PIX_DESK_ROLES    = var.desk_roles
        })
        content {
          name  = env.key
          value = env.value
        }
      }

      env {
        name = "PIX_HMAC_KEY" # of the analysts' pseudonyms, and of forms

        value_source {
          secret_key_ref {
            secret  = local.hmac_env["PIX_HMAC_KEY"].secret
            version = local.hmac_env["PIX_HMAC_KEY"].version
          }
        }
      }

      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 60

        http_get {
          path = "/ready"
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

  # As of the functions, the pipeline moves traffic between revisions.
  lifecycle {
    ignore_changes = [client, client_version, traffic]
  }

  depends_on = [
    google_bigquery_dataset_iam_member.readers,
    google_bigquery_table_iam_member.append,
    google_project_iam_member.query_jobs,
    google_pubsub_topic_iam_member.desk,
    google_secret_manager_secret_iam_member.readers,
  ]
}

resource "google_cloud_run_v2_service_iam_member" "desk" {
  count = local.desk_count

  name     = google_cloud_run_v2_service.desk[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = local.agents.iap
}

# The load balancer finds the service by its name, as the service has to know the id of the backend.
resource "google_compute_region_network_endpoint_group" "desk" {
  count = local.desk_count

  name                  = "pix-desk"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = local.desk_name
  }
}

resource "google_compute_backend_service" "desk" {
  count = local.desk_count

  name                  = "pix-desk"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"

  backend {
    group = google_compute_region_network_endpoint_group.desk[0].id
  }

  iap {
    enabled = true
  }
}

resource "google_compute_url_map" "desk" {
  count = local.desk_count

  name            = "pix-desk"
  default_service = google_compute_backend_service.desk[0].id
}

resource "google_compute_managed_ssl_certificate" "desk" {
  count = local.desk_count

  name = "pix-desk"

  managed {
    domains = [var.desk_domain]
  }
}

resource "google_compute_ssl_policy" "desk" {
  count = local.desk_count

  name            = "pix-desk"
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "desk" {
  count = local.desk_count

  name             = "pix-desk"
  url_map          = google_compute_url_map.desk[0].id
  ssl_certificates = [google_compute_managed_ssl_certificate.desk[0].id]
  ssl_policy       = google_compute_ssl_policy.desk[0].id
}

resource "google_compute_global_address" "desk" {
  count = local.desk_count

  name = "pix-desk"
}

resource "google_compute_global_forwarding_rule" "desk" {
  count = local.desk_count

  name                  = "pix-desk"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.desk[0].id
  port_range            = "443"
  target                = google_compute_target_https_proxy.desk[0].id
}

resource "google_iap_web_backend_service_iam_member" "desk" {
  for_each = var.desk_domain == null ? toset([]) : toset(var.desk_users)

  web_backend_service = google_compute_backend_service.desk[0].name
  role                = "roles/iap.httpsResourceAccessor"
  member              = each.key
}

# Verdicts are published like those of anybody.
resource "google_pubsub_topic_iam_member" "desk" {
  topic  = google_pubsub_topic.topics["pix-feedback"].id
  role   = "roles/pubsub.publisher"
  member = local.accounts["console"].member
}
