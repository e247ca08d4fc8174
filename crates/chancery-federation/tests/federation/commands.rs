//! Shell scripts, run by a real shell against stubs that record their arguments.

#![cfg(unix)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::artefacts::{Example, whole};

/// A folder with a stub for each program. A stub writes its name, its arguments and what it reads to
/// a file, and fails where an argument says `get-…` or `describe` and nothing is to be there yet.
pub(crate) struct Stubs(PathBuf);

const STUB: &str = r#"#!/bin/sh
{
  printf '%s\0' "${0##*/}" "$@"
  case "$*" in *' -'|*/dev/stdin) cat; printf '\0';; esac
  printf '\n\0'
} >> "$CHANCERY_RECORD"
case " $* " in *' get-'*|*' describe '*) [ "$CHANCERY_EXISTS" = yes ];; esac
"#;

impl Stubs {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chancery-stubs-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        // By a process of its own: a file that this one has open for writing, which a fork of another
        // test's may hold for a moment, cannot be run.
        let write = r#"for program in aws az gcloud mc vault bao; do
            printf '%s' "$2" > "$1/$program" && chmod 700 "$1/$program" || exit 1
        done"#;
        let written = Command::new("sh")
            .args(["-c", write, "sh"])
            .arg(&folder)
            .arg(STUB)
            .status()
            .unwrap();
        assert!(written.success());
        Self(folder)
    }

    /// Runs a script, and tells what was run: each a program and its arguments, what it read last.
    pub(crate) fn run(&self, script: &str, exists: bool) -> Vec<Vec<String>> {
        let record = self.0.join("record");
        let _ = fs::remove_file(&record);
        let file = self.0.join("script");
        fs::write(&file, script).unwrap();
        let parsed = Command::new("sh").arg("-n").arg(&file).status().unwrap();
        assert!(parsed.success(), "{script}");
        let path = format!("{}:{}", self.0.display(), std::env::var("PATH").unwrap());
        let status = Command::new("sh")
            .arg(&file)
            .env("PATH", path)
            .env("CHANCERY_RECORD", &record)
            .env("CHANCERY_EXISTS", if exists { "yes" } else { "no" })
            .status()
            .unwrap();
        assert!(status.success(), "{script}");
        let record = fs::read_to_string(&record).unwrap();
        let mut calls = vec![Vec::new()];
        for word in record.split('\0') {
            if word == "\n" {
                calls.push(Vec::new());
            } else {
                calls.last_mut().unwrap().push(word.to_owned());
            }
        }
        assert_eq!(calls.pop().unwrap(), [""]);
        calls
    }
}

impl Drop for Stubs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn example() -> Example {
    Example::new(
        "it's \"q\" \\ $HOME ${x} `id` $(id) *?\n# ~ & ; |",
        "-x 'y' file:///etc/passwd,z",
    )
}

fn input(call: &[String]) -> Value {
    let [.., flag, json] = call else {
        panic!("{call:?}")
    };
    assert_eq!(flag, "--cli-input-json");
    serde_json::from_str(json).unwrap()
}

fn names(calls: &[Vec<String>], index: usize) -> Vec<&str> {
    calls.iter().map(|call| call[index].as_str()).collect()
}

/// The word of a name that begins with a dash is not read as another option.
#[test]
fn a_role_named_like_an_option_is_looked_for() {
    let example = example();
    let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/x"},
        "Action": "sts:AssumeRoleWithWebIdentity"}}"#
        .parse();
    let setup = example.setup.with_role("-x", policy.unwrap()).unwrap();
    let calls = Stubs::new().run(&setup.aws_commands(), false);
    assert_eq!(calls[6][2..], ["get-role", "--role-name=-x"]);
}

#[test]
fn aws_commands_create_what_is_missing() {
    let example = example();
    let calls = Stubs::new().run(&example.setup.aws_commands(), false);
    assert_eq!(
        names(&calls, 2),
        [
            "get-open-id-connect-provider",
            "create-open-id-connect-provider",
            "get-role",
            "create-role",
            "get-role",
            "create-role",
        ]
    );
    assert_eq!(
        calls[0][3..],
        [
            "--open-id-connect-provider-arn",
            "arn:aws:iam::123456789012:oidc-provider/id.example.com/it's/$HOME/"
        ]
    );
    assert_eq!(
        input(&calls[1]),
        json!({
            "Url": "https://id.example.com/it's/$HOME/",
            "ClientIDList": [example.audience, "second"],
            "ThumbprintList": ["0123456789abcdef0123456789abcdef01234567"],
            "Tags": [{"Key": "example.com/cluster", "Value": "a = b"}],
        })
    );
    let role = input(&calls[3]);
    assert_eq!(role["RoleName"], "deploy.one");
    let template: Value = serde_json::from_str(&example.setup.cloudformation().unwrap()).unwrap();
    let document = &template["Resources"]["Role0"]["Properties"]["AssumeRolePolicyDocument"];
    let found: Value =
        serde_json::from_str(role["AssumeRolePolicyDocument"].as_str().unwrap()).unwrap();
    assert_eq!(found, *document);
}

#[test]
fn aws_commands_bring_up_to_date_what_is_there() {
    let example = example();
    let calls = Stubs::new().run(&example.setup.aws_commands(), true);
    assert_eq!(
        names(&calls, 2),
        [
            "get-open-id-connect-provider",
            "add-client-id-to-open-id-connect-provider",
            "add-client-id-to-open-id-connect-provider",
            "update-open-id-connect-provider-thumbprint",
            "tag-open-id-connect-provider",
            "get-role",
            "update-assume-role-policy",
            "tag-role",
            "get-role",
            "update-assume-role-policy",
            "tag-role",
        ]
    );
    assert_eq!(input(&calls[1])["ClientID"], example.audience);
}

#[test]
fn ceph_commands_name_the_endpoint() {
    let example = example();
    for (name, script) in example.scripts() {
        if name == "ceph.sh" {
            let calls = Stubs::new().run(&script, false);
            for call in &calls {
                assert_eq!(
                    call[..4],
                    [
                        "aws",
                        "--endpoint-url",
                        "https://rgw.example.com:8443/it's",
                        "iam"
                    ]
                );
            }
            assert_eq!(input(&calls[1])["ClientIDList"], json!([example.audience]));
        }
    }
}

#[test]
fn gcloud_takes_the_values_as_they_are() {
    use chancery_federation::Sharing::ManyCustomers;

    let example = example();
    let script = example.google.gcloud(ManyCustomers).unwrap();
    for exists in [false, true] {
        let calls = Stubs::new().run(&script, exists);
        let last = calls.last().unwrap();
        let verb = if exists { "update-oidc" } else { "create-oidc" };
        assert_eq!(
            last[1..6],
            [
                "iam",
                "workload-identity-pools",
                "providers",
                verb,
                "example"
            ]
        );
        let flag = |name: &str| {
            let prefix = format!("--{name}=");
            last.iter()
                .find_map(|word| word.strip_prefix(&prefix))
                .unwrap()
        };
        assert_eq!(
            flag("attribute-condition"),
            example.google.condition(ManyCustomers).unwrap().unwrap()
        );
        // A list begins with its delimiter between carets.
        let list = |name: &str| {
            let (delimiter, values) = flag(name)[1..].split_once('^').unwrap();
            values
                .split(delimiter)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            list("allowed-audiences"),
            [&example.audience, "second,third"]
        );
        assert_eq!(
            list("attribute-mapping"),
            [
                "google.subject=assertion.sub",
                "attribute.space=assertion.space_id + ','"
            ]
        );
        assert_eq!(calls.len(), if exists { 3 } else { 4 });
    }
}

#[test]
fn az_vault_and_mc_take_json() {
    use chancery_federation::Sharing::ManyCustomers;

    let example = example();
    let stubs = Stubs::new();
    let az = stubs.run(&example.azure.az(), false);
    assert_eq!(
        az[0][..5],
        ["az", "ad", "app", "federated-credential", "create"]
    );
    assert_eq!(*az[0].last().unwrap(), example.azure.json());
    let vault = stubs.run(&example.vault.commands(ManyCustomers).unwrap(), false);
    assert_eq!(
        vault[0],
        [
            "vault",
            "write",
            "auth/jwt/config",
            "-",
            &example.vault.config_json()
        ]
    );
    assert_eq!(
        vault[1],
        [
            "vault",
            "write",
            "auth/jwt/role/deploy",
            "-",
            &example.vault.role_json(ManyCustomers).unwrap()
        ]
    );
    let mc = stubs.run(
        &example.minio.commands("local", ManyCustomers).unwrap(),
        false,
    );
    assert_eq!(
        mc[0][..6],
        ["mc", "admin", "policy", "create", "local", "example"]
    );
    assert_eq!(
        *mc[0].last().unwrap(),
        example.minio.policy_json(ManyCustomers).unwrap()
    );
    assert_eq!(
        mc[1][1..],
        [
            "idp",
            "openid",
            "add",
            "local",
            "example",
            "client_id=minio.example.com",
            "config_url=https://id.example.com/.well-known/openid-configuration",
            "role_policy=example",
        ]
    );
    assert_eq!(mc.len(), 3);
}

/// Whatever the values hold, they reach the program as they are.
#[test]
fn any_value_reaches_the_program() {
    use proptest::prelude::*;

    let stubs = Stubs::new();
    let text = || prop_oneof!["[\\x01-\\x7f]{1,30}", "['\"$`\\\\!#(){}*~\n-]{1,20}"];
    proptest!(ProptestConfig::with_cases(24), |(subject in text(), audience in text())| {
        prop_assume!(audience != "second" && audience != "second: audience");
        let subject = whole(subject);
        let example = Example::new(&subject, &audience);
        let calls = stubs.run(&example.setup.aws_commands(), false);
        prop_assert_eq!(&input(&calls[1])["ClientIDList"][0], &json!(audience));
        let az = stubs.run(&example.azure.az(), false);
        prop_assert_eq!(az[0].last().unwrap(), &example.azure.json());
        let vault = stubs.run(&example.vault.commands(chancery_federation::Sharing::ManyCustomers).unwrap(), false);
        let role: Value = serde_json::from_str(vault[1].last().unwrap()).unwrap();
        prop_assert_eq!(&role["bound_claims"]["sub"][0], &json!(subject));
        let google = stubs.run(&example.google.gcloud(chancery_federation::Sharing::ManyCustomers).unwrap(), false);
        let condition = example.google.condition(chancery_federation::Sharing::ManyCustomers).unwrap().unwrap();
        let flag = format!("--attribute-condition={condition}");
        prop_assert!(google.last().unwrap().contains(&flag));
    });
}
