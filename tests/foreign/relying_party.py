"""A relying party of the rehearsal of rotation, on PyJWT.

It knows the issuer's URL, keeps the JWKS for as long as it is told, and verifies each token again
and again until that has expired. It asks for the JWKS only when its copy is too old, and not
because of a `kid` that it does not know.

The first line of standard input says what it is like:

    {"issuer": "...", "audience": "...", "keep": "max-age" or seconds,
     "leeway": seconds after `exp`, "lag": seconds by which its clock is behind}

Each further line is a token; at the end of input it goes on until the last one has expired:

    {"id": 1, "token": "..."}

Each line of standard output tells what became of one, once that has expired or was rejected:

    {"id": 1, "checks": 4, "late": true, "left": 0.1, "rejected": null or {"why": "...", "at": ...}}

`checks` counts the times it was accepted, and `left` are the seconds that it was still good for the
last time. `late` says that the last look came when it had expired.
"""

import base64
import datetime
import heapq
import json
import os
import queue
import re
import sys
import threading
import time
import urllib.request

import jwt

# A look at a token this long before it expires is the last one, in seconds.
LAST_LOOK = 0.15

# How long to wait for an answer, and between two questions, in seconds.
PATIENCE = 2
PAUSE = 0.1


class Clock(datetime.datetime):
    """What PyJWT takes for the time: the moment that the relying party looks at."""

    seconds = 0.0

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(cls.seconds, tz)


class Keys:
    """The JWKS, for as long as it may be kept."""

    def __init__(self, config):
        self.config = config
        self.jwks_uri = None
        self.keys = {}
        self.asked_at = float("-inf")
        self.kept_for = 0

    def are_fresh(self):
        # The age of an answer counts from the question (RFC 9111 section 4.2.3).
        return time.monotonic() < self.asked_at + self.kept_for

    def fetch(self):
        """Asks for the JWKS, and tells whether it came."""
        try:
            if self.jwks_uri is None:
                issuer = self.config["issuer"]
                metadata, _ = get(issuer + "/.well-known/openid-configuration")
                if metadata["issuer"] != issuer:
                    sys.exit(f"discovery names {metadata['issuer']}")
                self.jwks_uri = metadata["jwks_uri"]
            asked_at = time.monotonic()
            jwks, cache_control = get(self.jwks_uri)
        except OSError:
            return False
        keep = self.config["keep"]
        if keep == "max-age":
            keep = int(re.search(r"max-age=(\d+)", cache_control)[1])
        self.keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(jwks).keys}
        self.asked_at, self.kept_for = asked_at, keep
        return True


def get(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        return json.load(response), response.headers.get("Cache-Control", "")


def main():
    # The issuer is on loopback; a proxy of the machine must not stand between.
    os.environ["no_proxy"] = "*"
    config = json.loads(sys.stdin.readline())
    jwt.api_jwt.datetime = Clock
    arrivals = queue.SimpleQueue()
    threading.Thread(target=read, args=(arrivals,), daemon=True).start()
    keys = Keys(config)
    looks = []
    is_open = True
    while is_open or looks:
        pause = looks[0][0] - time.time() if looks else 3600
        if is_open:
            try:
                token = arrivals.get(timeout=max(pause, 0))
                if token is None:
                    is_open = False
                else:
                    plan(token, config, looks)
                continue
            except queue.Empty:
                pass
        else:
            time.sleep(max(pause, 0))
        look(keys, config, looks)


def read(arrivals):
    for line in sys.stdin:
        arrivals.put(json.loads(line))
    arrivals.put(None)


def plan(token, config, looks):
    payload = token["token"].split(".")[1]
    payload = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    now = time.time()
    token["end"] = payload["exp"] + config["leeway"] + config["lag"]
    token["checks"], token["left"] = 0, None
    span = token["end"] - LAST_LOOK - now
    token["looks"] = [now + span * part for part in (1 / 3, 2 / 3, 1)] if span > 0 else []
    heapq.heappush(looks, (now, token["id"], token))


def look(keys, config, looks):
    """Looks at the token that is due."""
    _, number, token = heapq.heappop(looks)
    now = time.time()
    if now >= token["end"]:
        return report(token, late=True)
    if not keys.are_fresh():
        again = time.time() + (0 if keys.fetch() else PAUSE)
        return heapq.heappush(looks, (again, number, token))
    Clock.seconds = now - config["lag"]
    try:
        verify(token["token"], keys.keys, config)
    except jwt.PyJWTError as error:
        why = f"{type(error).__name__}: {error}"
        return report(token, rejected={"why": why, "at": now})
    token["checks"] += 1
    token["left"] = round(token["end"] - now, 3)
    if token["looks"]:
        heapq.heappush(looks, (token["looks"].pop(0), number, token))
    else:
        report(token)


def verify(token, keys, config):
    header = jwt.get_unverified_header(token)
    key = keys.get(header["kid"])
    if key is None:
        raise jwt.PyJWKClientError(f"no key {header['kid']} among {sorted(keys)}")
    jwt.decode(
        token,
        key,
        algorithms=["ES256", "RS256"],
        audience=config["audience"],
        issuer=config["issuer"],
        leeway=config["leeway"],
        options={"require": ["exp", "iat", "nbf", "sub", "iss", "aud"]},
    )


def report(token, late=False, rejected=None):
    result = {"id": token["id"], "checks": token["checks"], "left": token["left"]}
    print(json.dumps({**result, "late": late, "rejected": rejected}), flush=True)


main()
