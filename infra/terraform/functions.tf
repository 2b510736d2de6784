# The two functions, as Cloud Run services that Cloud Run itself builds from their sources: what Cloud Functions (2nd gen)
# are underneath. google_cloudfunctions2_function is not used because in this version of the provider it has no direct
# VPC egress, which Valkey is reached by, no start-up probe, which warms an instance before it gets a Pix, and no
# revisions to move traffic between, which a deployment that is tested before it serves needs.
#
# Sources come from infra/stage.py: python -m infra.stage score build/score && python -m infra.stage label build/label

locals {
  functions = {
    label = {
      cpu         = var.label_cpu
      memory      = var.label_memory
      concurrency = var.label_concurrency
      instances   = var.label_instances
      secret_env  = {}
    }
    score = {
      cpu         = var.score_cpu
      memory      = var.score_memory
      concurrency = var.score_concurrency
      instances   = var.score_instances
      secret_env  = { PIX_HMAC_KEY = google_secret_manager_secret_version.hmac_key }
    }
  }

  # Settings of shared/settings.py that follow from resources here; var.settings holds the others.
  settings = {
    GOOGLE_CLOUD_PROJECT = var.project_id
    PIX_BUCKET           = google_storage_bucket.buckets["models"].name
    PIX_DATASET          = google_bigquery_dataset.pix.dataset_id
    PIX_HMAC_KEY_VERSION = google_secret_manager_secret_version.hmac_key.version
    PIX_MATURITY_DAYS    = tostring(var.maturity_days)
    PIX_STATE            = local.state_url
  }

  # Read by the OpenTelemetry exporter: where metrics go, and where they come from, which Google's endpoint insists on.
  telemetry = {
    OTEL_EXPORTER_OTLP_ENDPOINT = var.metrics_endpoint
    OTEL_RESOURCE_ATTRIBUTES    = "cloud.region=${var.region}"
  }
}

data "archive_file" "sources" {
  for_each = local.functions

  type             = "zip"
  source_dir       = "${var.build_folder}/${each.key}"
  output_path      = "${var.build_folder}/${each.key}.zip"
  output_file_mode = "0644" # the same archive whoever makes it, so that only a change deploys
  excludes         = ["**/__pycache__/**"]
}

resource "google_storage_bucket_object" "sources" {
  for_each = local.functions

  bucket = google_storage_bucket.buckets["sources"].name
  name   = "${each.key}/${data.archive_file.sources[each.key].output_sha256}.zip"
  source = data.archive_file.sources[each.key].output_path
}

resource "google_cloud_run_v2_service" "functions" {
  for_each = local.functions

  name                = "pix-${each.key}"
  description         = google_service_account.parts[each.key].description
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY" # which Pub/Sub of this project is
  deletion_protection = var.deletion_protection

  build_config {
    source_location          = "gs://${google_storage_bucket.buckets["sources"].name}/${google_storage_bucket_object.sources[each.key].name}"
    function_target          = each.key
    image_uri                = "${local.registry}/${each.key}"
    base_image               = local.function_base_image
    enable_automatic_updates = true
    service_account          = google_service_account.parts["build"].id
    worker_pool              = var.build_worker_pool
  }

  template {
    service_account                  = google_service_account.parts[each.key].email
    timeout                          = "${var.ack_deadline_seconds}s" # after that Pub/Sub has given up on the answer
    max_instance_request_concurrency = each.value.concurrency
    encryption_key                   = var.kms_key

    scaling {
      min_instance_count = each.value.instances.min
      max_instance_count = each.value.instances.max
    }

    vpc_access {
      egress = "ALL_TRAFFIC"

      network_interfaces {
        network    = google_compute_network.pix.id
        subnetwork = google_compute_subnetwork.pix.id
      }
    }

    containers {
      image          = "${local.registry}/${each.key}"
      base_image_uri = local.function_base_image

      resources {
        cpu_idle          = true # nothing runs between requests
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
        for_each = each.value.secret_env
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

      # A GET wires the function up: model read and proved, clients made.
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

  # Who moves traffic between revisions is the deployment, after its smoke test.
  lifecycle {
    ignore_changes = [client, client_version, traffic]
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.build,
    google_bigquery_table_iam_member.append,
    google_bigquery_table_iam_member.lookup,
    google_project_iam_member.build_logs,
    google_project_iam_member.metrics,
    google_project_iam_member.query_jobs,
    google_secret_manager_secret_iam_member.readers,
    google_storage_bucket_iam_member.build,
    google_storage_bucket_iam_member.folders,
  ]
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  for_each = local.functions

  name     = google_cloud_run_v2_service.functions[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.parts["push"].member
}

locals {
  function_base_image = "${var.region}-docker.pkg.dev/serverless-runtimes/google-22-full/runtimes/${var.function_runtime}"
}
