# Valkey, the history store that all instances of the functions share.

resource "google_memorystore_instance" "history" {
  instance_id                 = "pix-history"
  location                    = var.region
  engine_version              = var.valkey_engine_version
  node_type                   = var.valkey_node_type
  replica_count               = var.valkey_replicas
  authorization_mode          = var.valkey_iam ? "IAM_AUTH" : "AUTH_DISABLED" # without it, access is limited by the network alone
  transit_encryption_mode     = "SERVER_AUTHENTICATION"
  deletion_protection_enabled = var.deletion_protection
  kms_key                     = var.kms_key

  # A micro-batch is one script over many keys of each shard of history, which is one slot and so on one primary
  # (shared/adapters/valkey/history.py).
  mode        = var.state_shards > 1 ? "CLUSTER" : "CLUSTER_DISABLED"
  shard_count = var.valkey_primaries

  lifecycle {
    precondition {
      condition     = var.valkey_primaries <= var.state_shards
      error_message = "A primary without a shard of history would be idle: valkey_primaries is at most state_shards."
    }
  }

  engine_configs = {
    maxmemory-policy = "noeviction" # an account whose record was evicted would look new
  }

  # jobs.replay can rebuild history from BigQuery, but that takes longer than a minute.
  persistence_config {
    mode = "AOF"

    aof_config {
      append_fsync = "EVERY_SEC"
    }
  }

  # For the loss of a whole region or a mistake: history comes back from the tables by itself (jobs.repair), and a backup
  # that is restored into another instance is behind them by up to a day.
  automated_backup_config {
    retention = "${var.valkey_backup_days * 86400}s"

    fixed_frequency_schedule {
      start_time {
        hours = 7 # UTC
      }
    }
  }

  zone_distribution_config {
    mode = "MULTI_ZONE"
  }

  maintenance_policy {
    weekly_maintenance_window {
      day = "SUNDAY"

      start_time {
        hours = 6 # UTC; 3 a.m. in Brazil, when the fewest Pix are made
      }
    }
  }

  desired_auto_created_endpoints {
    network    = google_compute_network.pix.id
    project_id = var.project_id
  }

  depends_on = [google_network_connectivity_service_connection_policy.valkey]
}

locals {
  valkey_iam = var.valkey_iam

  # Without cluster mode there are two endpoints: one of the primary, used here, and one of its replicas. A cluster has
  # one that tells where the slots are, and one of its nodes.
  valkey_primary = one([
    for connection in flatten(google_memorystore_instance.history.endpoints[*].connections) :
    connection.psc_auto_connection[0]
    if connection.psc_auto_connection[0].connection_type == (
      var.state_shards > 1 ? "CONNECTION_TYPE_DISCOVERY" : "CONNECTION_TYPE_PRIMARY"
    )
  ])
  valkey_tag          = "pix-history" # of the network, for instances that may reach the store (network.tf)
  valkey_ca_folder    = "/etc/valkey"
  valkey_certificates = join("\n", flatten(google_memorystore_instance.history.managed_server_ca[*].ca_certs[*].certificates))

  # Each instance has its own certificate authority, so the certificate identifies it without a host name. Certificates
  # of Memorystore may lack the Authority Key Identifier, which Python requires from 3.13 on (VERIFY_X509_STRICT); the
  # check is off for this connection alone. https://github.com/redis/redis-py/issues/3685
  state_url = join("", [
    "${var.state_shards > 1 ? "valkeys-cluster" : "rediss"}://${local.valkey_primary.ip_address}:${local.valkey_primary.port}",
    "?ssl_ca_certs=${local.valkey_ca_folder}/ca.pem&ssl_check_hostname=false&ssl_exclude_verify_flags=VERIFY_X509_STRICT",
    var.valkey_iam ? "&auth=google" : "",
  ])
}

# The parts that call the store, each by tokens of its own account; Terraform has no grant on a single instance, so a condition
# names it.
resource "google_project_iam_member" "valkey" {
  for_each = { for part in ["console", "decide", "label", "outcome", "repair", "replay", "score"] : part => part if local.valkey_iam }

  project = var.project_id
  role    = "roles/memorystore.dbConnectionUser"
  member  = local.accounts[each.key].member

  condition {
    title      = "only-history"
    expression = "resource.name == \"${google_memorystore_instance.history.id}\""
  }
}
