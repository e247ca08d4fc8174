// Azurite's blob service on a free port of this machine, with a container `chancery`. Prints the
// URL of its account when that is there.
//
// It ends when its standard input does, so that it never outlives the test.

"use strict";

const { createHmac } = require("node:crypto");
const http = require("node:http");

// The account that every azurite has, and its published key.
const ACCOUNT = "devstoreaccount1";
const KEY =
  "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

process.stdin.on("end", () => process.exit()).resume();

const log = console.log;
console.log = (line) => {
  const listening = /successfully listens on (\S+)/.exec(line);
  if (listening) {
    createContainer(`${listening[1]}/${ACCOUNT}`);
  }
};
process.argv.push("--silent", "--inMemoryPersistence", "--disableTelemetry");
process.argv.push("--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort", "0");
require("azurite/dist/src/blob/main.js");

/** Signs as Azure's "Authorize with Shared Key" describes. */
function createContainer(account) {
  const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-08-06" };
  const signed = [
    "PUT",
    ...Array(11).fill(""),
    `x-ms-date:${headers["x-ms-date"]}`,
    `x-ms-version:${headers["x-ms-version"]}`,
    // A path that begins with the account names it twice.
    `/${ACCOUNT}/${ACCOUNT}/chancery`,
    "restype:container",
  ].join("\n");
  const signature = createHmac("sha256", Buffer.from(KEY, "base64")).update(signed).digest("base64");
  headers.Authorization = `SharedKey ${ACCOUNT}:${signature}`;
  headers["Content-Length"] = 0;
  const request = http.request(`${account}/chancery?restype=container`, { method: "PUT", headers });
  request.on("response", (response) => {
    if (response.statusCode === 201) {
      log(account);
    } else {
      response.pipe(process.stderr);
    }
  });
  request.end();
}
