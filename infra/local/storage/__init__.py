"""A small Cloud Storage: the JSON API over a directory, for google-cloud-storage with STORAGE_EMULATOR_HOST.

Preconditions are checked atomically, as the swap of models requires. gs://bucket/name is the file root/bucket/name,
which bqemulator shares.

    launch.py         starts it as a child process    server.py         the web server
    api.py            routes, requests for buckets    object_api.py     requests for objects
    upload_api.py     requests of uploads             requests.py       parts of a request
    uploads.py        bodies of uploads               resources.py      JSON of a response
    objects.py        objects and their generations   preconditions.py  generations that a request depends on
    buckets.py        directories and paths           records.py        metadata on disk
    staging.py        content before it is visible
"""
