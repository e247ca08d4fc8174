"""Moto's S3 on a free port of this machine, with a bucket `chancery`. Prints its URL when that is
there.

It ends when its standard input does, so that it never outlives the test.
"""

import os
import sys
import threading

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main():
    application = DomainDispatcherApplication(create_backend_app)
    # Moto compares first and writes later, with no lock between: with a thread for each request, which
    # is what `moto_server` does, two writers can win. One thread takes one request at a time.
    server = make_server("127.0.0.1", 0, application, threaded=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.port}"
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",
    )
    s3.create_bucket(Bucket="chancery")
    print(url, flush=True)
    sys.stdin.read()
    # Not `sys.exit`, which would wait for requests.
    os._exit(0)


main()
