"""Verifies tokens with PyJWT, as a relying party that knows only the issuer's URL would.

Reads one JSON document on standard input:

    {"issuer": "...", "audience": "...",
     "discovery_url": "http://127.0.0.1:8000/.well-known/openid-configuration",
     "tokens": [{"name": "...", "token": "...", "algorithms": ["ES256"], "typ": "JWT"}]}

Writes one JSON document on standard output, a result for each token in the same order:

    {"results": [{"name": "...", "ok": true, "claims": {...}},
                 {"name": "...", "ok": false, "error": "ExpiredSignatureError", "message": "..."}]}

`error` is the class that PyJWT raised: NotImplementedError where it does not know the algorithm.
PyJWT leaves `typ` to its caller, so that one check is made here and named TypeMismatch.
The exit code is 0 when every token has a result, whatever it is; anything else, such as a
discovery document of another issuer, ends the program with a message and exit code 1.
"""

import json
import os
import sys
import urllib.request

import jwt

REQUIRED_CLAIMS = ["exp", "iat", "sub", "iss", "aud"]


def main():
    # The issuer is on loopback; a proxy of the machine must not stand between.
    os.environ["no_proxy"] = "*"
    request = json.load(sys.stdin)
    keys = jwt.PyJWKClient(jwks_uri(request))
    results = [check(request, token, keys) for token in request["tokens"]]
    json.dump({"results": results}, sys.stdout)


def jwks_uri(request):
    with urllib.request.urlopen(request["discovery_url"], timeout=10) as response:
        metadata = json.load(response)
    if metadata["issuer"] != request["issuer"]:
        sys.exit(f"discovery names {metadata['issuer']!r}, expected {request['issuer']!r}")
    return metadata["jwks_uri"]


def check(request, token, keys):
    try:
        verified = verify(request, token, keys)
    except (jwt.PyJWTError, NotImplementedError) as error:
        return refused(token, type(error).__name__, str(error))
    typ = verified["header"].get("typ")
    if typ != token["typ"]:
        return refused(token, "TypeMismatch", f"typ is {typ!r}, expected {token['typ']!r}")
    return {"name": token["name"], "ok": True, "claims": verified["payload"]}


def verify(request, token, keys):
    for algorithm in token["algorithms"]:
        # Raises for one that PyJWT does not know. Its key client leaves such keys out of the set
        # in silence, so that they would look like an unknown kid.
        jwt.get_algorithm_by_name(algorithm)
    return jwt.decode_complete(
        token["token"],
        keys.get_signing_key_from_jwt(token["token"]),
        algorithms=token["algorithms"],
        audience=request["audience"],
        issuer=request["issuer"],
        leeway=0,
        options={"require": REQUIRED_CLAIMS},
    )


def refused(token, error, message):
    return {"name": token["name"], "ok": False, "error": error, "message": message}


if __name__ == "__main__":
    main()
