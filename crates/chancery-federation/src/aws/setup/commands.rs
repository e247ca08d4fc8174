//! `aws iam` commands.

use std::fmt::Write as _;

use super::{Role, Setup, SetupError, texts};
use crate::shell::quote;
use crate::tree::Tree;

const HEAD: &str = "\
#!/bin/sh
# Registers the provider and its roles in IAM, or brings them up to date. Needs the AWS CLI and
# credentials of the account.
set -eu
";

impl Setup {
    /// A shell script of `aws iam` commands that can be run again: what is there already is brought
    /// up to date.
    ///
    /// Audiences and tags are added, and none is taken away. Parameters are passed as JSON, so that
    /// the AWS CLI reads nothing in them as a file, a URL or its own shorthand.
    #[must_use]
    pub fn aws_commands(&self) -> String {
        self.commands("aws iam")
    }

    /// The same for Ceph's object gateway at this URL, which asks for a thumbprint.
    ///
    /// # Errors
    /// [`SetupError::Thumbprint`] when the provider has none.
    pub fn ceph_commands(&self, endpoint: &str) -> Result<String, SetupError> {
        if self.provider.thumbprints().is_empty() {
            return Err(SetupError::Thumbprint);
        }
        let endpoint = quote(endpoint);
        Ok(self.commands(&format!("aws --endpoint-url {endpoint} iam")))
    }

    fn commands(&self, aws: &str) -> String {
        let mut script = Script {
            text: HEAD.to_owned(),
            aws,
        };
        self.provider_commands(&mut script);
        for role in &self.roles {
            self.role_commands(role, &mut script);
        }
        script.text
    }

    fn provider_commands(&self, script: &mut Script<'_>) {
        let provider = &self.provider;
        let arn = || ("OpenIDConnectProviderArn", Tree::text(provider.arn()));
        script.if_succeeds(&format!(
            "get-open-id-connect-provider --open-id-connect-provider-arn {}",
            quote(provider.arn())
        ));
        for client_id in provider.client_ids() {
            let input = Tree::object([arn(), ("ClientID", Tree::text(client_id))]);
            script.command("add-client-id-to-open-id-connect-provider", &input);
        }
        if !provider.thumbprints().is_empty() {
            let thumbprints = ("ThumbprintList", texts(provider.thumbprints()));
            let input = Tree::object([arn(), thumbprints]);
            script.command("update-open-id-connect-provider-thumbprint", &input);
        }
        if self.has_tags() {
            let input = Tree::object([arn(), ("Tags", self.tag_list())]);
            script.command("tag-open-id-connect-provider", &input);
        }
        script.text.push_str("else\n");
        let mut input = vec![
            ("Url", Tree::text(provider.url().as_str())),
            ("ClientIDList", texts(provider.client_ids())),
        ];
        if !provider.thumbprints().is_empty() {
            input.push(("ThumbprintList", texts(provider.thumbprints())));
        }
        if self.has_tags() {
            input.push(("Tags", self.tag_list()));
        }
        let input = Tree::object(input);
        script.command("create-open-id-connect-provider", &input);
        script.text.push_str("fi\n");
    }

    fn role_commands(&self, role: &Role, script: &mut Script<'_>) {
        let name = || ("RoleName", Tree::text(&role.name));
        let policy = || Tree::text(role.policy.to_string());
        script.if_succeeds(&format!("get-role --role-name={}", quote(&role.name)));
        let input = Tree::object([name(), ("PolicyDocument", policy())]);
        script.command("update-assume-role-policy", &input);
        if self.has_tags() {
            let input = Tree::object([name(), ("Tags", self.tag_list())]);
            script.command("tag-role", &input);
        }
        script.text.push_str("else\n");
        let mut input = vec![name(), ("AssumeRolePolicyDocument", policy())];
        if self.has_tags() {
            input.push(("Tags", self.tag_list()));
        }
        script.command("create-role", &Tree::object(input));
        script.text.push_str("fi\n");
    }
}

struct Script<'a> {
    text: String,
    /// What begins every command.
    aws: &'a str,
}

impl Script<'_> {
    fn if_succeeds(&mut self, arguments: &str) {
        let aws = self.aws;
        let _ = write!(self.text, "\nif {aws} {arguments} >/dev/null 2>&1; then\n");
    }

    fn command(&mut self, name: &str, input: &Tree) {
        let (aws, input) = (self.aws, quote(&input.to_json()));
        let _ = writeln!(self.text, "  {aws} {name} --cli-input-json {input}");
    }
}
