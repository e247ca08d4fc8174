#!/bin/sh
# Configures the JWT auth method, which must be enabled, and writes the role.
set -eu

printf '%s' '{"oidc_discovery_url":"https://id.example.com/it'\''s/$HOME/","bound_issuer":"https://id.example.com/it'\''s/$HOME/"}' | "${VAULT:-vault}" write 'auth/jwt/config' -
printf '%s' '{"role_type":"jwt","user_claim":"sub","bound_audiences":["https://example.com/?a=b,c ~0~ '\''d'\''"],"bound_claims_type":"string","bound_claims":{"sub":["it'\''s \"quoted\" \\ $HOME ${x} %{y} `id` *?\n# stra\u00dfe \ud83d\ude00","space:2"],"space_id":["1"]},"token_policies":["deploy"]}' | "${VAULT:-vault}" write 'auth/jwt/role/deploy' -
