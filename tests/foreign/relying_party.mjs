// A relying party of the rehearsal of rotation, on npm jose.
//
// It does what relying_party.py does, and reads and writes the lines that are described there.

import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";

// Node 18, which Debian 12 has, keeps this behind a flag, and jose looks for it when loaded.
globalThis.crypto ??= webcrypto;
const { createLocalJWKSet, decodeJwt, errors, jwtVerify } = await import("jose");

// A look at a token this long before it expires is the last one, in seconds.
const LAST_LOOK = 0.15;

// How long to wait for an answer, and between two questions, in milliseconds.
const PATIENCE = 2000;
const PAUSE = 100;

let config;
let jwksUri;
let keys;
let askedAt = -Infinity;
let keptFor = 0;
let asking;

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const message = JSON.parse(line);
  if (config === undefined) {
    config = message;
  } else {
    // Node goes on until the last timer of the last token.
    follow(message);
  }
}

async function follow(token) {
  const end = decodeJwt(token.token).exp + config.leeway + config.lag;
  const began = seconds();
  const span = end - LAST_LOOK - began;
  const looks = span > 0 ? [0, 1 / 3, 2 / 3, 1].map((part) => began + span * part) : [began];
  const result = { id: token.id, checks: 0, left: null };
  for (const due of looks) {
    await pause((due - seconds()) * 1000);
    const now = await freshKeys(end);
    if (now === null) {
      return report({ ...result, late: true, rejected: null });
    }
    try {
      await verify(token.token, now);
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) {
        throw error;
      }
      const why = `${error.code}: ${error.message}`;
      return report({ ...result, late: false, rejected: { why, at: now } });
    }
    result.checks += 1;
    result.left = Math.round((end - now) * 1000) / 1000;
  }
  report({ ...result, late: false, rejected: null });
}

// A moment at which there are keys that may be kept still; null when the token has expired.
async function freshKeys(end) {
  for (;;) {
    const now = seconds();
    if (now >= end) {
      return null;
    }
    // The age of an answer counts from the question (RFC 9111 section 4.2.3).
    if (performance.now() < askedAt + keptFor * 1000) {
      return now;
    }
    asking ??= fetchKeys().finally(() => {
      asking = undefined;
    });
    if (!(await asking)) {
      await pause(PAUSE);
    }
  }
}

// Asks for the JWKS, and tells whether it came.
async function fetchKeys() {
  try {
    if (jwksUri === undefined) {
      const [metadata] = await get(`${config.issuer}/.well-known/openid-configuration`);
      if (metadata.issuer !== config.issuer) {
        console.error(`discovery names ${metadata.issuer}`);
        process.exit(1);
      }
      jwksUri = metadata.jwks_uri;
    }
    const asked = performance.now();
    const [jwks, cacheControl] = await get(jwksUri);
    keys = createLocalJWKSet(jwks);
    keptFor = config.keep === "max-age" ? Number(/max-age=(\d+)/.exec(cacheControl)[1]) : config.keep;
    askedAt = asked;
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError) {
      throw error;
    }
    return false;
  }
}

async function get(url) {
  // Each time a connection of its own: a kept one would go to the same replica for ever.
  const headers = { connection: "close" };
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) {
    throw new Error(`${url} answered ${response.status}`);
  }
  return [await response.json(), response.headers.get("cache-control") ?? ""];
}

async function verify(token, now) {
  await jwtVerify(token, keys, {
    algorithms: ["ES256", "RS256"],
    audience: config.audience,
    issuer: config.issuer,
    clockTolerance: config.leeway,
    currentDate: new Date((now - config.lag) * 1000),
    requiredClaims: ["exp", "iat", "nbf", "sub", "iss", "aud"],
  });
}

function seconds() {
  return Date.now() / 1000;
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(milliseconds, 0)));
}

function report(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
