"""Pub/Sub in one process, for machines without Google's emulator.

Official clients reach it through PUBSUB_EMULATOR_HOST. Start it with `python -m infra.local.pubsub`.
Messages live in memory: stopping the server loses what nobody acknowledged.

    server.py      gRPC server, start and stop
    publisher.py   the Publisher service        subscriber.py   the Subscriber service
    broker.py      topics and subscriptions     backlog.py      the unacknowledged messages of a subscription
    push.py        push delivery                endpoint.py     the HTTP client that push uses
"""
