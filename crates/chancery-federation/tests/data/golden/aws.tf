resource "aws_iam_openid_connect_provider" "issuer" {
  url             = "https://id.example.com/it's/$HOME/"
  client_id_list  = ["https://example.com/?a=b,c ~0~ 'd'", "second"]
  thumbprint_list = ["0123456789abcdef0123456789abcdef01234567"]
  tags = {
    "example.com/cluster" = "a = b"
  }
}

resource "aws_iam_role" "deploy_one" {
  name               = "deploy.one"
  assume_role_policy = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Federated\":\"arn:aws:iam::123456789012:oidc-provider/id.example.com/it's/$HOME/\"},\"Action\":[\"sts:AssumeRoleWithWebIdentity\",\"sts:TagSession\",\"sts:SetSourceIdentity\"],\"Condition\":{\"StringEquals\":{\"id.example.com/it's/$HOME/:aud\":[\"https://example.com/?a=b,c ~0~ 'd'\",\"second\"],\"id.example.com/it's/$HOME/:email\":\"jo@example.com\",\"aws:RequestTag/Project\":\"x y\",\"id.example.com/it's/$HOME/:sub\":\"it's \\\"quoted\\\" \\\\ $HOME $${$}{x} %%{y} `id` *?\\n# stra\\u00dfe \\ud83d\\ude00\"}}}]}"
  tags = {
    "example.com/cluster" = "a = b"
  }
  depends_on = [aws_iam_openid_connect_provider.issuer]
}

resource "aws_iam_role" "deploy_one_" {
  name = "deploy@one"
  assume_role_policy = jsonencode({
    "Version" = "2012-10-17"
    "Statement" = [{
      "Effect" = "Allow"
      "Principal" = {
        "Federated" = "arn:aws:iam::123456789012:oidc-provider/id.example.com/it's/$HOME/"
      }
      "Action" = "sts:AssumeRoleWithWebIdentity"
      "Condition" = {
        "StringEquals" = {
          "id.example.com/it's/$HOME/:aud" = ["https://example.com/?a=b,c ~0~ 'd'", "second"]
        }
        "StringLike" = {
          "id.example.com/it's/$HOME/:sub" = "space:1:*"
        }
      }
    }]
  })
  tags = {
    "example.com/cluster" = "a = b"
  }
  depends_on = [aws_iam_openid_connect_provider.issuer]
}
