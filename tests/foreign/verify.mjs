// Verifies tokens with npm jose, as a relying party that knows only the issuer's URL would.
//
// Reads and writes the JSON documents that verify.py describes. `error` is the code of jose's
// error: ERR_JOSE_NOT_SUPPORTED where it does not know the algorithm.

import { webcrypto } from "node:crypto";
import { text } from "node:stream/consumers";

// Node 18, which Debian 12 has, keeps this behind a flag, and jose looks for it when loaded.
globalThis.crypto ??= webcrypto;
const { createRemoteJWKSet, errors, jwtVerify } = await import("jose");

const REQUIRED_CLAIMS = ["exp", "iat", "sub", "iss", "aud"];

const request = JSON.parse(await text(process.stdin));
const keys = createRemoteJWKSet(await jwksUri(request));
const results = [];
for (const token of request.tokens) {
  results.push(await check(request, token, keys));
}
process.stdout.write(JSON.stringify({ results }));

async function jwksUri({ discovery_url, issuer }) {
  const response = await fetch(discovery_url);
  if (!response.ok) {
    throw new Error(`${discovery_url} answered ${response.status}`);
  }
  const metadata = await response.json();
  if (metadata.issuer !== issuer) {
    throw new Error(`discovery names ${metadata.issuer}, expected ${issuer}`);
  }
  return new URL(metadata.jwks_uri);
}

async function check({ issuer, audience }, { name, token, algorithms, typ }, keys) {
  try {
    const verified = await jwtVerify(token, keys, {
      algorithms,
      audience,
      issuer,
      typ,
      clockTolerance: 0,
      // Without a longest age jose does not look at `iat`, not even for one that lies ahead.
      maxTokenAge: "1 day",
      requiredClaims: REQUIRED_CLAIMS,
    });
    return { name, ok: true, claims: verified.payload };
  } catch (error) {
    // Any other error is a fault of this program or of the server, and ends it.
    if (!(error instanceof errors.JOSEError)) {
      throw error;
    }
    return { name, ok: false, error: error.code, message: error.message };
  }
}
