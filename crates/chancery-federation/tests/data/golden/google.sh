#!/bin/sh
# Creates the pool and its provider, or brings the provider up to date. Needs gcloud.
set -eu

if ! gcloud iam workload-identity-pools describe 'example-pool' --location=global --project='project-1' >/dev/null 2>&1; then
  gcloud iam workload-identity-pools create 'example-pool' --location=global --project='project-1'
fi
if gcloud iam workload-identity-pools providers describe 'example' --location=global --project='project-1' --workload-identity-pool='example-pool' >/dev/null 2>&1; then
  gcloud iam workload-identity-pools providers update-oidc 'example' --location=global --project='project-1' --workload-identity-pool='example-pool' --issuer-uri='https://id.example.com' --attribute-mapping='^~0~^google.subject=assertion.sub~0~attribute.space=assertion.space_id + '\'','\''' --allowed-audiences='^~1~^https://example.com/?a=b,c ~0~ '\''d'\''~1~second,third' --attribute-condition='assertion.sub in ['\''it\'\''s "quoted" \\ $HOME ${x} %{y} `id` *?\U0000000a# stra\U000000dfe \U0001f600'\'', '\''space:2'\''] && (assertion.tier != "free")'
else
  gcloud iam workload-identity-pools providers create-oidc 'example' --location=global --project='project-1' --workload-identity-pool='example-pool' --issuer-uri='https://id.example.com' --attribute-mapping='^~0~^google.subject=assertion.sub~0~attribute.space=assertion.space_id + '\'','\''' --allowed-audiences='^~1~^https://example.com/?a=b,c ~0~ '\''d'\''~1~second,third' --attribute-condition='assertion.sub in ['\''it\'\''s "quoted" \\ $HOME ${x} %{y} `id` *?\U0000000a# stra\U000000dfe \U0001f600'\'', '\''space:2'\''] && (assertion.tier != "free")'
fi
