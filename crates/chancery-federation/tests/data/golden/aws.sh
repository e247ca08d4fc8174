#!/bin/sh
# Registers the provider and its roles in IAM, or brings them up to date. Needs the AWS CLI and
# credentials of the account.
set -eu

if aws iam get-open-id-connect-provider --open-id-connect-provider-arn 'arn:aws:iam::123456789012:oidc-provider/id.example.com/it'\''s/$HOME/' >/dev/null 2>&1; then
  aws iam add-client-id-to-open-id-connect-provider --cli-input-json '{"OpenIDConnectProviderArn":"arn:aws:iam::123456789012:oidc-provider/id.example.com/it'\''s/$HOME/","ClientID":"https://example.com/?a=b,c ~0~ '\''d'\''"}'
  aws iam add-client-id-to-open-id-connect-provider --cli-input-json '{"OpenIDConnectProviderArn":"arn:aws:iam::123456789012:oidc-provider/id.example.com/it'\''s/$HOME/","ClientID":"second"}'
  aws iam update-open-id-connect-provider-thumbprint --cli-input-json '{"OpenIDConnectProviderArn":"arn:aws:iam::123456789012:oidc-provider/id.example.com/it'\''s/$HOME/","ThumbprintList":["0123456789abcdef0123456789abcdef01234567"]}'
  aws iam tag-open-id-connect-provider --cli-input-json '{"OpenIDConnectProviderArn":"arn:aws:iam::123456789012:oidc-provider/id.example.com/it'\''s/$HOME/","Tags":[{"Key":"example.com/cluster","Value":"a = b"}]}'
else
  aws iam create-open-id-connect-provider --cli-input-json '{"Url":"https://id.example.com/it'\''s/$HOME/","ClientIDList":["https://example.com/?a=b,c ~0~ '\''d'\''","second"],"ThumbprintList":["0123456789abcdef0123456789abcdef01234567"],"Tags":[{"Key":"example.com/cluster","Value":"a = b"}]}'
fi

if aws iam get-role --role-name='deploy.one' >/dev/null 2>&1; then
  aws iam update-assume-role-policy --cli-input-json '{"RoleName":"deploy.one","PolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Federated\":\"arn:aws:iam::123456789012:oidc-provider/id.example.com/it'\''s/$HOME/\"},\"Action\":[\"sts:AssumeRoleWithWebIdentity\",\"sts:TagSession\",\"sts:SetSourceIdentity\"],\"Condition\":{\"StringEquals\":{\"id.example.com/it'\''s/$HOME/:aud\":[\"https://example.com/?a=b,c ~0~ '\''d'\''\",\"second\"],\"id.example.com/it'\''s/$HOME/:email\":\"jo@example.com\",\"aws:RequestTag/Project\":\"x y\",\"id.example.com/it'\''s/$HOME/:sub\":\"it'\''s \\\"quoted\\\" \\\\ $HOME ${$}{x} %{y} `id` *?\\n# stra\\u00dfe \\ud83d\\ude00\"}}}]}"}'
  aws iam tag-role --cli-input-json '{"RoleName":"deploy.one","Tags":[{"Key":"example.com/cluster","Value":"a = b"}]}'
else
  aws iam create-role --cli-input-json '{"RoleName":"deploy.one","AssumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Federated\":\"arn:aws:iam::123456789012:oidc-provider/id.example.com/it'\''s/$HOME/\"},\"Action\":[\"sts:AssumeRoleWithWebIdentity\",\"sts:TagSession\",\"sts:SetSourceIdentity\"],\"Condition\":{\"StringEquals\":{\"id.example.com/it'\''s/$HOME/:aud\":[\"https://example.com/?a=b,c ~0~ '\''d'\''\",\"second\"],\"id.example.com/it'\''s/$HOME/:email\":\"jo@example.com\",\"aws:RequestTag/Project\":\"x y\",\"id.example.com/it'\''s/$HOME/:sub\":\"it'\''s \\\"quoted\\\" \\\\ $HOME ${$}{x} %{y} `id` *?\\n# stra\\u00dfe \\ud83d\\ude00\"}}}]}","Tags":[{"Key":"example.com/cluster","Value":"a = b"}]}'
fi

if aws iam get-role --role-name='deploy@one' >/dev/null 2>&1; then
  aws iam update-assume-role-policy --cli-input-json '{"RoleName":"deploy@one","PolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Federated\":\"arn:aws:iam::123456789012:oidc-provider/id.example.com/it'\''s/$HOME/\"},\"Action\":\"sts:AssumeRoleWithWebIdentity\",\"Condition\":{\"StringEquals\":{\"id.example.com/it'\''s/$HOME/:aud\":[\"https://example.com/?a=b,c ~0~ '\''d'\''\",\"second\"]},\"StringLike\":{\"id.example.com/it'\''s/$HOME/:sub\":\"space:1:*\"}}}]}"}'
  aws iam tag-role --cli-input-json '{"RoleName":"deploy@one","Tags":[{"Key":"example.com/cluster","Value":"a = b"}]}'
else
  aws iam create-role --cli-input-json '{"RoleName":"deploy@one","AssumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Federated\":\"arn:aws:iam::123456789012:oidc-provider/id.example.com/it'\''s/$HOME/\"},\"Action\":\"sts:AssumeRoleWithWebIdentity\",\"Condition\":{\"StringEquals\":{\"id.example.com/it'\''s/$HOME/:aud\":[\"https://example.com/?a=b,c ~0~ '\''d'\''\",\"second\"]},\"StringLike\":{\"id.example.com/it'\''s/$HOME/:sub\":\"space:1:*\"}}}]}","Tags":[{"Key":"example.com/cluster","Value":"a = b"}]}'
fi
