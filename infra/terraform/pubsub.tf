# Topics, dead-letter topics and the subscriptions of the functions: push to their services, or pull by their workers
# (var.feed; in a cluster of Kubernetes too). A change of it keeps the subscription and its messages. We own the subscriptions, not Eventarc, so that we set their
# policies.
#
# The topics have no Pub/Sub schema; the functions enforce the contract (shared/contract/jsonschema) instead. Pub/Sub
# supports Avro and Protocol Buffers. In Avro's JSON every optional field must be present, with its value wrapped as
# {"string": "..."}: Pub/Sub answers INVALID_ARGUMENT to the plain messages of the contract. Protocol Buffers have
# neither required fields nor patterns, and refuse the unknown fields that the contract ignores. And a schema refuses
# a publisher's whole batch for one bad message, where the functions put that message into pix.quarantine with a
# reason.

locals {
  topics = {
    pix-feedback = {
      function        = "label"
      attempts        = var.feedback_delivery_attempts
      minimum_backoff = "10s" # a report is days old already, so a wait costs nothing
    }
    pix-outcomes = {
      function        = "outcome"
      attempts        = var.outcomes_delivery_attempts
      minimum_backoff = "5s" # an outcome that overtakes its Pix waits until that is scored
    }
    pix-transactions = {
      function        = "score"
      attempts        = var.transactions_delivery_attempts
      minimum_backoff = "1s" # a Pix is waiting for its score
    }
  }

  # Topics of the smoke test of a deployment: a message of the last becomes a request to the API.
  smoke = merge(
    { for topic, each in local.topics : topic => { function = each.function, path = "" } },
    { pix-questions = { function = "decide", path = "/v1/decisions" } },
  )

  # Topics whose messages a worker pulls.
  pulled = { for topic, each in local.topics : topic => each if var.feed != "push" }

  publishers = merge([
    for topic, members in var.publishers : { for member in members : "${topic} ${member}" => { topic = topic, member = member } }
  ]...)
}

resource "google_pubsub_topic" "topics" {
  for_each = local.topics

  name                       = each.key
  kms_key_name               = var.kms_key
  message_retention_duration = var.topic_retention

  message_storage_policy {
    allowed_persistence_regions = [var.region] # messages hold personal data in clear, so they stay in the region
    enforce_in_transit          = var.publish_in_region_only
  }
}

# Decisions, which functions publish for those who carry them out; each of these makes a subscription of its own.
resource "google_pubsub_topic" "decisions" {
  name         = "pix-decisions"
  kms_key_name = var.kms_key

  message_storage_policy {
    allowed_persistence_regions = [var.region]
    enforce_in_transit          = var.publish_in_region_only
  }
}

# The functions that decide, and the parts that learn how a hold ends; by a late outcome, these are jobs.
resource "google_pubsub_topic_iam_member" "decisions" {
  for_each = toset(["decide", "expire", "label", "outcome", "repair", "replay", "score"])

  topic  = google_pubsub_topic.decisions.id
  role   = "roles/pubsub.publisher"
  member = local.accounts[each.key].member
}

resource "google_pubsub_topic_iam_member" "decision_readers" {
  for_each = toset(var.decision_readers)

  topic  = google_pubsub_topic.decisions.id
  role   = "roles/pubsub.subscriber"
  member = each.key
}

resource "google_pubsub_topic_iam_member" "publishers" {
  for_each = local.publishers

  topic  = google_pubsub_topic.topics[each.value.topic].id
  role   = "roles/pubsub.publisher"
  member = each.value.member
}

resource "google_pubsub_subscription" "functions" {
  for_each = local.topics

  name                       = each.value.function
  topic                      = google_pubsub_topic.topics[each.key].id
  ack_deadline_seconds       = var.ack_deadline_seconds
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = "" # never, even if nothing is published for months
  }

  dynamic "push_config" {
    for_each = var.feed == "push" ? [google_cloud_run_v2_service.functions[each.value.function].uri] : []
    content {
      push_endpoint = push_config.value

      oidc_token {
        service_account_email = local.accounts["push"].email
        audience              = push_config.value
      }
    }
  }

  retry_policy {
    minimum_backoff = each.value.minimum_backoff
    maximum_backoff = "${var.maximum_backoff_seconds}s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead[each.key].id
    max_delivery_attempts = each.value.attempts
  }

  depends_on = [google_cloud_run_v2_service_iam_member.push]
}

resource "google_pubsub_subscription_iam_member" "pull" {
  for_each = local.pulled

  subscription = google_pubsub_subscription.functions[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.accounts[each.value.function].member
}

# Dead letters wait for a person, in a subscription without a consumer.

resource "google_pubsub_topic" "dead" {
  for_each = local.topics

  name         = "${each.key}-dead"
  kms_key_name = var.kms_key

  message_storage_policy {
    allowed_persistence_regions = [var.region]
    enforce_in_transit          = var.publish_in_region_only
  }
}

resource "google_pubsub_subscription" "dead" {
  for_each = local.topics

  name                       = google_pubsub_topic.dead[each.key].name
  topic                      = google_pubsub_topic.dead[each.key].id
  ack_deadline_seconds       = 60
  message_retention_duration = var.dead_letter_retention

  expiration_policy {
    ttl = ""
  }
}

# jobs.redrive pulls dead letters and publishes them again.

resource "google_pubsub_subscription_iam_member" "redrive" {
  for_each = local.topics

  subscription = google_pubsub_subscription.dead[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.accounts["operate"].member
}

resource "google_pubsub_topic_iam_member" "redrive" {
  for_each = local.topics

  topic  = google_pubsub_topic.topics[each.key].id
  role   = "roles/pubsub.publisher"
  member = local.accounts["operate"].member
}

# Rights of Pub/Sub's own agent: move dead letters, and sign the tokens for its calls to the functions.

resource "google_pubsub_topic_iam_member" "dead_letters_in" {
  for_each = local.topics

  topic  = google_pubsub_topic.dead[each.key].id
  role   = "roles/pubsub.publisher"
  member = local.agents.pubsub
}

resource "google_pubsub_subscription_iam_member" "dead_letters_out" {
  for_each = local.topics

  subscription = google_pubsub_subscription.functions[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.agents.pubsub
}

resource "google_service_account_iam_member" "push_tokens" {
  service_account_id = local.accounts["push"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.agents.pubsub
}

# The messages of a deployment's smoke test go to a revision of their function before it gets traffic. While no
# revision has the tag, deliveries fail, and messages expire after ten minutes.

resource "google_pubsub_topic" "smoke" {
  for_each = local.smoke

  name         = "${each.key}-smoke"
  kms_key_name = var.kms_key

  message_storage_policy {
    allowed_persistence_regions = [var.region]
    enforce_in_transit          = var.publish_in_region_only
  }
}

resource "google_pubsub_subscription" "smoke" {
  for_each = local.smoke

  name                       = google_pubsub_topic.smoke[each.key].name
  topic                      = google_pubsub_topic.smoke[each.key].id
  ack_deadline_seconds       = var.ack_deadline_seconds
  message_retention_duration = "600s"

  expiration_policy {
    ttl = ""
  }

  push_config {
    push_endpoint = "${replace(google_cloud_run_v2_service.functions[each.value.function].uri, "https://", "https://candidate---")}${each.value.path}"

    oidc_token {
      service_account_email = local.accounts["push"].email
      audience              = google_cloud_run_v2_service.functions[each.value.function].uri # a tagged address shares the audience of its service
    }

    dynamic "no_wrapper" {
      for_each = each.value.path == "" ? [] : [each.value.path]
      content {
        write_metadata = false # the body is the message alone, as a caller sends it
      }
    }
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "10s"
  }

  depends_on = [google_cloud_run_v2_service_iam_member.push]
}
