// Evaluates trust policies with npm's @cloud-copilot/iam-simulate.
//
// Reads one JSON document on standard input:
//
//     {"principal": "arn:aws:iam::…:oidc-provider/…", "action": "sts:AssumeRoleWithWebIdentity",
//      "cases": [{"policy": {…}, "keys": {"id.example.com:sub": "…", "aws:TagKeys": ["…"]}}]}
//
// Writes one JSON document on standard output, a result for each case in the same order:
// {"results": ["Allowed", "ExplicitlyDenied", "ImplicitlyDenied"]}.
//
// The package's own entry knows the keys of no private issuer, so its parts are called.

import { text } from "node:stream/consumers";

import { loadPolicy } from "@cloud-copilot/iam-policy";

const part = (path) =>
  import(new URL(`node_modules/@cloud-copilot/iam-simulate/dist/esm/${path}`, import.meta.url));
const { authorize } = await part("core_engine/CoreSimulatorEngine.js");
const { AwsRequestImpl } = await part("request/request.js");
const { RequestContextImpl } = await part("requestContext.js");
const { DiscoveryContextKeyConstraints } = await part(
  "context_keys/discoveryContextKeyConstraints.js",
);

const { principal, action, cases } = JSON.parse(await text(process.stdin));
const accountId = principal.split(":")[4];
const role = { resource: `arn:aws:iam::${accountId}:role/role`, accountId };
const results = cases.map(({ policy, keys }) => {
  const request = new AwsRequestImpl(principal, role, action, new RequestContextImpl(keys));
  const outcome = authorize({
    request,
    identityPolicies: [],
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: loadPolicy(policy, { name: "trust" }),
    simulationParameters: {
      simulationMode: "Strict",
      discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]),
    },
    serviceSettings: { s3: {} },
  });
  return outcome.resourceAnalysis.result;
});
process.stdout.write(JSON.stringify({ results }));
