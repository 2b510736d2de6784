# A budget does not stop spending; it only notifies, also about a forecast.

resource "google_billing_budget" "pix" {
  count = var.billing_account == null ? 0 : 1

  billing_account = var.billing_account
  display_name    = "Pix fraud scoring, ${var.environment}"

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }

  amount {
    specified_amount {
      currency_code = var.budget_currency
      units         = tostring(var.budget_amount)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }

  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    monitoring_notification_channels = slice(local.channels, 0, min(5, length(local.channels))) # a budget accepts at most five
    disable_default_iam_recipients   = false
  }
}
