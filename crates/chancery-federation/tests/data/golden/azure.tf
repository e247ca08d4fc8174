resource "azuread_application_federated_identity_credential" "issuer" {
  application_id = "/applications/00000000-1111-2222-3333-444444444444"
  display_name   = "job-42"
  issuer         = "https://id.example.com/it's/$HOME/"
  subject        = "it's \"quoted\" \\ $HOME $${x} %%{y} `id` +?\n# stra\U000000dfe +"
  audiences      = ["api://AzureADTokenExchange"]
}
