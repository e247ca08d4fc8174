resource "google_iam_workload_identity_pool" "issuer" {
  project                   = "project-1"
  workload_identity_pool_id = "example-pool"
}

resource "google_iam_workload_identity_pool_provider" "issuer" {
  project                            = "project-1"
  workload_identity_pool_id          = google_iam_workload_identity_pool.issuer.workload_identity_pool_id
  workload_identity_pool_provider_id = "example"
  attribute_mapping = {
    "google.subject"  = "assertion.sub"
    "attribute.space" = "assertion.space_id + ','"
  }
  attribute_condition = "assertion.sub in ['it\\'s \"quoted\" \\\\ $HOME $${x} %%{y} `id` *?\\U0000000a# stra\\U000000dfe \\U0001f600', 'space:2'] && (assertion.tier != \"free\")"

  oidc {
    issuer_uri        = "https://id.example.com"
    allowed_audiences = ["https://example.com/?a=b,c ~0~ 'd'", "second,third"]
  }
}
