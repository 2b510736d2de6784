"""The local Pub/Sub: Google's emulator where it is installed, and an embedded server for machines without it.

Official clients reach either through PUBSUB_EMULATOR_HOST. `python -m infra.local.pubsub` runs the embedded server,
which keeps messages in memory: stopping it loses those that are not acknowledged.

    launch.py         starts either kind           google.py          finds Google's emulator
    server.py         the gRPC server              rpc.py             methods as gRPC handlers
    publisher.py      the Publisher service        subscriber.py      the Subscriber service
    broker.py         topics and subscriptions     configuration.py   checks and defaults of a subscription
    backlog.py        unacknowledged messages      deadlines.py       ends of leases and back-offs
    push.py           push delivery                push_client.py     its HTTP client
"""
