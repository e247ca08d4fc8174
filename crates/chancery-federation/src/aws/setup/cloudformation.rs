//! CloudFormation templates.

use super::{Setup, texts};
use crate::tree::Tree;

impl Setup {
    /// A CloudFormation template in JSON: the provider, with the logical id `Issuer`, and the roles,
    /// `Role0` and so on. A role that has a name needs the capability `CAPABILITY_NAMED_IAM`.
    #[must_use]
    pub fn cloudformation(&self) -> String {
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
        template.to_pretty_json_without_surrogates()
    }
}
