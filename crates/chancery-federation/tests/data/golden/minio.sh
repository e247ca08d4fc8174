#!/bin/sh
# Creates the access policy and the provider. MinIO takes it in when it restarts.
set -eu

printf '%s' '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::artefacts/*"],"Condition":{"StringEquals":{"jwt:sub":["it'\''s \"quoted\" \\ $HOME $x} %{y} `id` *?\n# stra\u00dfe \ud83d\ude00"]}}}]}' | mc admin policy create 'local' 'example' /dev/stdin
mc idp openid add 'local' 'example' 'client_id=minio.example.com' 'config_url=https://id.example.com/.well-known/openid-configuration' 'role_policy=example'
mc admin service restart 'local'
