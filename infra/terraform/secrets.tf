# Values of secrets are generated while Terraform runs and passed on in write-only attributes, so none is in the
# state, in a plan or in a variable. Incrementing a *_version variable generates a new value. If an apply fails
# between writing a secret and setting it as a user's password, increment the version, because the next run generates
# a different value.

resource "google_secret_manager_secret" "secrets" {
  for_each = {
    hmac_key        = "pix-hmac-key"        # key of every pseudonym, and of the hashes of quarantined messages
    hmac_shards     = "pix-hmac-shards"     # the shard key in each of these; nothing but Terraform reads it
    mlflow_password = "pix-mlflow-password" # of MLflow's database user
    valkey_ca       = "pix-valkey-ca"       # a public certificate; functions and jobs mount it for the client of Valkey
  }

  secret_id           = each.value
  deletion_protection = var.deletion_protection

  replication {
    user_managed {
      replicas {
        location = var.region # the key of the pseudonyms stays in their region

        dynamic "customer_managed_encryption" {
          for_each = var.kms_key == null ? [] : [var.kms_key]
          content {
            kms_key_name = customer_managed_encryption.value
          }
        }
      }
    }
  }
}

# One grant for each secret that a part reads.
resource "google_secret_manager_secret_iam_member" "readers" {
  for_each = {
    hmac_key_console       = { secret = "hmac_key", part = "console" }
    hmac_key_decide        = { secret = "hmac_key", part = "decide" }
    hmac_key_label         = { secret = "hmac_key", part = "label" }
    hmac_key_outcome       = { secret = "hmac_key", part = "outcome" }
    hmac_key_repair        = { secret = "hmac_key", part = "repair" }
    hmac_key_replay        = { secret = "hmac_key", part = "replay" }
    hmac_key_score         = { secret = "hmac_key", part = "score" }
    hmac_key_skew          = { secret = "hmac_key", part = "skew" }
    hmac_key_snapshot      = { secret = "hmac_key", part = "snapshot" }
    mlflow_password_mlflow = { secret = "mlflow_password", part = "mlflow" }
    valkey_ca_console      = { secret = "valkey_ca", part = "console" }
    valkey_ca_decide       = { secret = "valkey_ca", part = "decide" }
    valkey_ca_label        = { secret = "valkey_ca", part = "label" }
    valkey_ca_outcome      = { secret = "valkey_ca", part = "outcome" }
    valkey_ca_repair       = { secret = "valkey_ca", part = "repair" }
    valkey_ca_replay       = { secret = "valkey_ca", part = "replay" }
    valkey_ca_score        = { secret = "valkey_ca", part = "score" }
  }

  secret_id = google_secret_manager_secret.secrets[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.accounts[each.value.part].member
}

# The key in force and, while the key is being changed, the one that is to follow. The switch moves no value: the
# following key becomes the one in force by its version.
locals {
  hmac_versions = { PIX_HMAC_KEY = var.hmac_key_version, PIX_HMAC_KEY_NEXT = var.hmac_key_next_version }
  hmac_env = {
    for name, version in local.hmac_versions :
    name => google_secret_manager_secret_version.hmac_keys[tostring(version)] if version != null
  }
}

ephemeral "random_password" "hmac_keys" {
  for_each = toset([for version in values(local.hmac_versions) : tostring(version) if version != null])

  length  = 64
  special = false
}

# A key made from here on ends in the shard key, so that ids keep their shard of history under the next one.
ephemeral "random_password" "hmac_shards" {
  length  = 64
  special = false
}

resource "google_secret_manager_secret_version" "hmac_shards" {
  secret                 = google_secret_manager_secret.secrets["hmac_shards"].id
  secret_data_wo         = ephemeral.random_password.hmac_shards.result
  secret_data_wo_version = 1 # another value would move every record to another shard
  deletion_policy        = "ABANDON"
}

ephemeral "google_secret_manager_secret_version" "hmac_shards" {
  secret = google_secret_manager_secret_version.hmac_shards.secret # of the version, so that there is one
}

resource "google_secret_manager_secret_version" "hmac_keys" {
  for_each = toset([for version in values(local.hmac_versions) : tostring(version) if version != null])

  secret = google_secret_manager_secret.secrets["hmac_key"].id
  secret_data_wo = join(".shards.", [
    ephemeral.random_password.hmac_keys[each.key].result,
    ephemeral.google_secret_manager_secret_version.hmac_shards.secret_data,
  ])
  secret_data_wo_version = tonumber(each.key)
  deletion_policy        = "ABANDON" # existing rows were made with the old key, and erasing a person needs it to find them

  lifecycle {
    create_before_destroy = true
  }
}

moved {
  from = google_secret_manager_secret_version.hmac_key
  to   = google_secret_manager_secret_version.hmac_keys["1"]
}

ephemeral "random_password" "mlflow" {
  length  = 40
  special = false
}

resource "google_secret_manager_secret_version" "mlflow_password" {
  secret                 = google_secret_manager_secret.secrets["mlflow_password"].id
  secret_data_wo         = ephemeral.random_password.mlflow.result
  secret_data_wo_version = var.mlflow_password_version
  deletion_policy        = "DISABLE"

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_secret_manager_secret_version" "valkey_ca" {
  secret      = google_secret_manager_secret.secrets["valkey_ca"].id
  secret_data = local.valkey_certificates
}
