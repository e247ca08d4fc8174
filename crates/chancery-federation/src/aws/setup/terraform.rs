//! Terraform, for the provider `hashicorp/aws`.

use super::{Setup, SetupError, texts};
use crate::tree::{Body, Tree, is_kept_by_terraform, resource};

impl Setup {
    /// Terraform's resources: the provider, labelled `issuer`, and each role, labelled by its name.
    ///
    /// # Errors
    /// [`SetupError::Normalization`] when Terraform may change an audience or a tag. Trust policies
    /// are written in ASCII, and stay as they are.
    pub fn terraform(&self) -> Result<String, SetupError> {
        let provider = &self.provider;
        let audiences = provider.client_ids().iter().map(String::as_str);
        let tagged = self.tags.iter().flat_map(|(key, value, _)| [key, value]);
        if !audiences.chain(tagged).all(is_kept_by_terraform) {
            return Err(SetupError::Normalization);
        }
        let tags = || {
            let tag = |(key, value, _): (&str, &str, bool)| (key.to_owned(), Tree::text(value));
            Body::Argument("tags", Tree::Object(self.tags.iter().map(tag).collect()))
        };
        let mut body = vec![
            Body::Argument("url", Tree::text(provider.url().as_str())),
            Body::Argument("client_id_list", texts(provider.client_ids())),
        ];
        if !provider.thumbprints().is_empty() {
            let thumbprints = texts(provider.thumbprints());
            body.push(Body::Argument("thumbprint_list", thumbprints));
        }
        if self.has_tags() {
            body.push(tags());
        }
        let mut blocks = vec![resource("aws_iam_openid_connect_provider", "issuer", &body)];
        let mut labels = Vec::new();
        for role in &self.roles {
            let mut body = vec![
                Body::Argument("name", Tree::text(&role.name)),
                Body::Json("assume_role_policy", role.policy.to_tree()),
            ];
            if self.has_tags() {
                body.push(tags());
            }
            // The policy names the provider's ARN, so Terraform does not see that one needs the other.
            let provider = Tree::Reference("aws_iam_openid_connect_provider.issuer");
            body.push(Body::Argument("depends_on", Tree::List(vec![provider])));
            let mut label = identifier(&role.name);
            while labels.contains(&label) {
                label.push('_');
            }
            blocks.push(resource("aws_iam_role", &label, &body));
            labels.push(label);
        }
        Ok(blocks.join("\n"))
    }
}

/// A role's name as an HCL identifier.
fn identifier(name: &str) -> String {
    let is_letter = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let replaced = name.replace(|character: char| !is_letter(character), "_");
    if replaced.starts_with(|first: char| first.is_ascii_alphabetic()) {
        replaced
    } else {
        format!("role_{replaced}")
    }
}
