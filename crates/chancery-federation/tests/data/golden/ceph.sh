#!/bin/sh
# Registers the provider and its roles in IAM, or brings them up to date. Needs the AWS CLI and
# credentials of the account.
set -eu

if aws --endpoint-url 'https://rgw.example.com:8443/it'\''s' iam get-open-id-connect-provider --open-id-connect-provider-arn 'arn:aws:iam::tenant:oidc-provider/id.example.com/it'\''s/$HOME/' >/dev/null 2>&1; then
  aws --endpoint-url 'https://rgw.example.com:8443/it'\''s' iam add-client-id-to-open-id-connect-provider --cli-input-json '{"OpenIDConnectProviderArn":"arn:aws:iam::tenant:oidc-provider/id.example.com/it'\''s/$HOME/","ClientID":"https://example.com/?a=b,c ~0~ '\''d'\''"}'
  aws --endpoint-url 'https://rgw.example.com:8443/it'\''s' iam update-open-id-connect-provider-thumbprint --cli-input-json '{"OpenIDConnectProviderArn":"arn:aws:iam::tenant:oidc-provider/id.example.com/it'\''s/$HOME/","ThumbprintList":["0123456789abcdef0123456789abcdef01234567"]}'
else
  aws --endpoint-url 'https://rgw.example.com:8443/it'\''s' iam create-open-id-connect-provider --cli-input-json '{"Url":"https://id.example.com/it'\''s/$HOME/","ClientIDList":["https://example.com/?a=b,c ~0~ '\''d'\''"],"ThumbprintList":["0123456789abcdef0123456789abcdef01234567"]}'
fi

if aws --endpoint-url 'https://rgw.example.com:8443/it'\''s' iam get-role --role-name='deploy' >/dev/null 2>&1; then
  aws --endpoint-url 'https://rgw.example.com:8443/it'\''s' iam update-assume-role-policy --cli-input-json '{"RoleName":"deploy","PolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Federated\":\"arn:aws:iam::tenant:oidc-provider/id.example.com/it'\''s/$HOME/\"},\"Action\":[\"sts:AssumeRoleWithWebIdentity\",\"sts:TagSession\",\"sts:SetSourceIdentity\"],\"Condition\":{\"StringEquals\":{\"id.example.com/it'\''s/$HOME/:aud\":\"https://example.com/?a=b,c ~0~ '\''d'\''\",\"id.example.com/it'\''s/$HOME/:email\":\"jo@example.com\",\"aws:RequestTag/Project\":\"x y\",\"id.example.com/it'\''s/$HOME/:sub\":\"it'\''s \\\"quoted\\\" \\\\ $HOME ${$}{x} %{y} `id` *?\\n# stra\\u00dfe \\ud83d\\ude00\"}}}]}"}'
else
  aws --endpoint-url 'https://rgw.example.com:8443/it'\''s' iam create-role --cli-input-json '{"RoleName":"deploy","AssumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Federated\":\"arn:aws:iam::tenant:oidc-provider/id.example.com/it'\''s/$HOME/\"},\"Action\":[\"sts:AssumeRoleWithWebIdentity\",\"sts:TagSession\",\"sts:SetSourceIdentity\"],\"Condition\":{\"StringEquals\":{\"id.example.com/it'\''s/$HOME/:aud\":\"https://example.com/?a=b,c ~0~ '\''d'\''\",\"id.example.com/it'\''s/$HOME/:email\":\"jo@example.com\",\"aws:RequestTag/Project\":\"x y\",\"id.example.com/it'\''s/$HOME/:sub\":\"it'\''s \\\"quoted\\\" \\\\ $HOME ${$}{x} %{y} `id` *?\\n# stra\\u00dfe \\ud83d\\ude00\"}}}]}"}'
fi
