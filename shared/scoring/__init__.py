"""From a batch of events to decisions: model bundle, champion, rules, policy, pipeline."""
