//! CloudFormation templates.

use super::{Setup, SetupError, texts};
use crate::tree::Tree;

impl Setup {
    /// A CloudFormation template in JSON: the provider, with the logical id `Issuer`, and the roles,
    /// `Role0` and so on. A role that has a name needs the capability `CAPABILITY_NAMED_IAM`.
    ///
    /// # Errors
    /// [`SetupError::Function`] when a condition key of a policy would be read as a function, and
    /// [`SetupError::DynamicReference`] when a value holds `{{resolve:`, for which CloudFormation has
    /// no escape (CloudFormation User Guide, "Get values stored in other services using dynamic
    /// references").
    pub fn cloudformation(&self) -> Result<String, SetupError> {
        let provider = &self.provider;
        let mut properties = vec![
            ("Url", Tree::text(provider.url().as_str())),
            ("ClientIdList", texts(provider.client_ids())),
        ];
        if !provider.thumbprints().is_empty() {
            properties.push(("ThumbprintList", texts(provider.thumbprints())));
        }
        if self.has_tags() {
            properties.push(("Tags", self.tag_list()));
        }
        let issuer = Tree::object([
            ("Type", Tree::text("AWS::IAM::OIDCProvider")),
            ("Properties", Tree::object(properties)),
        ]);
        let mut resources = vec![("Issuer".to_owned(), issuer)];
        for (index, role) in self.roles.iter().enumerate() {
            let statements = role.policy.statements.iter();
            let mut conditions = statements.flat_map(|statement| &statement.conditions);
            if conditions.any(|condition| is_function(&condition.key)) {
                return Err(SetupError::Function);
            }
            let mut properties = vec![
                ("RoleName", Tree::text(&role.name)),
                ("AssumeRolePolicyDocument", role.policy.to_tree()),
            ];
            if self.has_tags() {
                properties.push(("Tags", self.tag_list()));
            }
            let role = Tree::object([
                ("Type", Tree::text("AWS::IAM::Role")),
                ("DependsOn", Tree::text("Issuer")),
                ("Properties", Tree::object(properties)),
            ]);
            resources.push((format!("Role{index}"), role));
        }
        let template = Tree::object([
            ("AWSTemplateFormatVersion", Tree::text("2010-09-09")),
            (
                "Description",
                Tree::text("An OpenID Connect provider and the roles that trust it"),
            ),
            ("Resources", Tree::Object(resources)),
        ]);
        // Nothing of it is escaped in JSON, and no JSON of ours has it outside a text.
        let json = template.to_pretty_json_without_surrogates();
        if json.contains("{{resolve:") {
            return Err(SetupError::DynamicReference);
        }
        Ok(json)
    }
}

/// Whether an object that has only this member is a function (CloudFormation User Guide, "Intrinsic
/// function reference").
fn is_function(key: &str) -> bool {
    key == "Ref" || key.starts_with("Fn::")
}
