# The functions, as Cloud Run services. The pipeline builds their images from the staged sources (infra/deploy/stage.py)
# with Google's buildpacks, exactly as Cloud Functions (2nd gen) does, so that one image is scanned, tested in staging
# and copied to production by its digest.
#
# google_cloudfunctions2_function lacks three things in this version of the provider: direct VPC egress (to reach
# Valkey), a start-up probe (to warm an instance before its first Pix), and revisions with separate traffic (to test a
# deployment before it serves). build_config of the service is unused: it builds nothing and only records the origin
# of an image.

locals {
  functions = {
    decide = {
      cpu         = var.decide_cpu
      memory      = var.decide_memory
      concurrency = var.decide_concurrency
      instances   = var.decide_instances
    }
    label = {
      cpu         = var.label_cpu
      memory      = var.label_memory
      concurrency = var.label_concurrency
      instances   = var.label_instances
    }
    outcome = {
      cpu         = var.outcome_cpu
      memory      = var.outcome_memory
      concurrency = var.outcome_concurrency
      instances   = var.outcome_instances
    }
    score = {
      cpu         = var.score_cpu
      memory      = var.score_memory
      concurrency = var.score_concurrency
      instances   = var.score_instances
    }
  }

  # Functions that take the messages of a topic. Callers ask the others.
  fed = { for name, each in local.functions : name => each if name != "decide" }

  # Settings of shared/settings.py that follow from resources; var.settings holds the others.
  settings = {
    GOOGLE_CLOUD_PROJECT  = var.project_id
    PIX_BUCKET            = google_storage_bucket.buckets["models"].name
    PIX_DATA_BUCKET       = google_storage_bucket.buckets["data"].name
    PIX_DATASET           = google_bigquery_dataset.pix.dataset_id
    PIX_HMAC_KEY_VERSION  = local.hmac_env["PIX_HMAC_KEY"].version
    PIX_MATURITY_DAYS     = tostring(var.maturity_days)
    PIX_MODEL_KEYS        = local.model_keys
    PIX_OIDC_BY           = "platform" # Cloud Run verifies callers, by the grants of roles/run.invoker below
    PIX_OUTCOMES          = var.outcomes
    PIX_PUBLISH_DECISIONS = var.publish_decisions
    PIX_STATE             = local.state_url
    PIX_STATE_SHARDS      = tostring(var.state_shards)
    PIX_UNREVIEWED_HOLDS  = var.unreviewed_holds
  }

  # Read by the OpenTelemetry exporter: destination and origin of the metrics. Google's endpoint requires the origin.
  telemetry = {
    OTEL_EXPORTER_OTLP_ENDPOINT = var.metrics_endpoint
    OTEL_RESOURCE_ATTRIBUTES    = "cloud.region=${var.region}"
  }
}

resource "google_cloud_run_v2_service" "functions" {
  for_each = local.functions

  name                = "pix-${each.key}"
  description         = local.accounts[each.key].description
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY" # Pub/Sub of the same project counts as internal
  deletion_protection = var.deletion_protection

  binary_authorization {
    use_default = true # the policy of bootstrap/admission.tf
  }

  template {
    service_account                  = local.accounts[each.key].email
    timeout                          = "${var.ack_deadline_seconds}s" # Pub/Sub ignores any later answer
    max_instance_request_concurrency = each.value.concurrency
    encryption_key                   = var.kms_key

    scaling {
      min_instance_count = var.feed == "push" || each.key == "decide" ? each.value.instances.min : 0 # only the smoke test pushes then
      max_instance_count = each.value.instances.max
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
      image = var.function_images[each.key]

      resources {
        cpu_idle          = each.key != "decide" # it stores rows after answers that could not wait; the others do nothing between requests
        startup_cpu_boost = true

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
        for_each = local.hmac_env # all make pseudonyms, or hashes of what they quarantine
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

      # A GET makes the clients, reads and verifies the model, and is answered 503 until bucket and history have answered:
      # the network of a new instance may let nothing through for a minute. PIX_START_SECONDS bounds that, within these
      # 120 s.
      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 60

        http_get {
          path = "/"
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

  # The pipeline moves traffic between revisions, after its smoke test.
  lifecycle {
    ignore_changes = [client, client_version, traffic]
  }

  # A grant may take minutes to take effect everywhere. On a first apply there is enough time: a service waits for
  # Valkey and Cloud SQL, which take longer, and the grants do not wait for them.
  depends_on = [
    google_bigquery_table_iam_member.append,
    google_bigquery_table_iam_member.lookup,
    google_bigquery_table_iam_member.lookups,
    google_project_iam_member.metrics,
    google_project_iam_member.query_jobs,
    google_pubsub_topic_iam_member.decisions,
    google_secret_manager_secret_iam_member.readers,
    google_storage_bucket_iam_member.folders,
  ]
}

# Callers of the API, by the OIDC token that Cloud Run verifies.
resource "google_cloud_run_v2_service_iam_member" "decide" {
  for_each = toset(var.decision_callers)

  name     = google_cloud_run_v2_service.functions["decide"].name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.key
}

# Deliveries of Pub/Sub, and to the API those of the smoke test.
resource "google_cloud_run_v2_service_iam_member" "push" {
  for_each = local.functions

  name     = google_cloud_run_v2_service.functions[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = local.accounts["push"].member
}
