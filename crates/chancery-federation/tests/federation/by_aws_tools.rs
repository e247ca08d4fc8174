//! What is rendered for AWS, taken to botocore's model of its calls, to moto and to cfn-lint.

use std::env;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use chancery_core::Algorithm;
use chancery_federation::aws::{Policy, Setup};
use serde_json::{Value, json};

use crate::artefacts::Example;
use crate::commands::Stubs;
use crate::simulate::{signer, token};

const ACCOUNT: &str = "123456789012";

fn ask(request: &Value) -> Value {
    let python = env::var_os("CHANCERY_FOREIGN_PYTHON")
        .unwrap_or_else(|| panic!("CHANCERY_FOREIGN_PYTHON is not set; run cargo xtask test"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/foreign/aws.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(request.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The calls of the script where nothing is there yet, and then those where all of it is.
fn calls(setup: &Setup) -> Vec<Value> {
    let stubs = Stubs::new();
    let script = setup.aws_commands();
    let mut calls = stubs.run(&script, false);
    calls.extend(stubs.run(&script, true));
    calls
        .iter()
        .filter(|call| !call[2].starts_with("get-"))
        .map(|call| {
            let input: Value = serde_json::from_str(call.last().unwrap()).unwrap();
            json!([call[1], call[2], input])
        })
        .collect()
}

fn request(setup: &Setup, token: &str) -> Value {
    json!({
        "calls": calls(setup),
        "template": setup.cloudformation().unwrap(),
        "web_identity": {
            "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/deploy.one"),
            "RoleSessionName": "job-42", "WebIdentityToken": token,
        },
    })
}

#[test]
#[ignore = "needs CHANCERY_FOREIGN_PYTHON; cargo xtask test sets it up"]
fn aws_tools_take_what_is_rendered() {
    let example = Example::new(
        "space:1:it's \"q\" \\ ${x} straße 😀",
        "https://example.com/?a='b'",
    );
    let token = token(
        &signer(Algorithm::Es256, "one"),
        "https://id.example.com/it's/$HOME/",
    );
    let answer = ask(&request(&example.setup, &token));
    assert_eq!(answer["faults"], json!([]));
    assert_eq!(answer["lint"], json!([]));
    assert_eq!(
        answer["unknown"],
        json!(["add-client-id-to-open-id-connect-provider"])
    );
    let provider = &answer["providers"][0];
    assert_eq!(
        provider["ClientIDList"],
        json!([example.audience, "second"])
    );
    assert_eq!(
        provider["ThumbprintList"][0],
        "0123456789abcdef0123456789abcdef01234567"
    );
    assert_eq!(
        provider["Tags"],
        json!([{"Key": "example.com/cluster", "Value": "a = b"}])
    );
    let roles = answer["roles"].as_object().unwrap();
    assert_eq!(
        roles.keys().collect::<Vec<_>>(),
        ["deploy.one", "deploy@one"]
    );
    let template: Value = serde_json::from_str(&example.setup.cloudformation().unwrap()).unwrap();
    for (role, logical_id) in [("deploy.one", "Role0"), ("deploy@one", "Role1")] {
        let document = &roles[role]["AssumeRolePolicyDocument"];
        let expected = &template["Resources"][logical_id]["Properties"]["AssumeRolePolicyDocument"];
        assert_eq!(document, expected, "{role}");
        assert!(document.to_string().parse::<Policy>().is_ok());
    }
    assert_eq!(
        answer["assumed"],
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy.one/job-42")
    );
}

/// The tools find what is wrong.
#[test]
#[ignore = "needs CHANCERY_FOREIGN_PYTHON; cargo xtask test sets it up"]
fn aws_tools_find_faults() {
    let example = Example::new("space:1", "audience");
    let mut request = request(&example.setup, "x");
    request["template"] = example
        .setup
        .cloudformation()
        .unwrap()
        .replace("ClientIdList", "ClientIDs")
        .into();
    let calls = request["calls"].as_array_mut().unwrap();
    calls[0][2]["ThumbprintList"] = json!(["0123456789abcdef0123456789abcdef0123456789"]);
    calls[0][2]["Tags"][0]["Value"] = json!("a;b");
    calls[1][2]["AssumeRolePolicyDocument"] = json!(
        calls[1][2]["AssumeRolePolicyDocument"]
            .as_str()
            .unwrap()
            .replace("space", "𝓼")
    );
    let answer = ask(&request);
    let faults: Vec<&str> = answer["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault.as_str().unwrap())
        .collect();
    for expected in [
        "iam create-open-id-connect-provider ThumbprintList[0]: 42 are more than 40",
        "iam create-open-id-connect-provider Tags[0] Value: 'a;b' is not of the pattern",
        "iam create-role AssumeRolePolicyDocument: ",
        "sts assume-role-with-web-identity WebIdentityToken: 1 are fewer than 4",
    ] {
        assert!(
            faults.iter().any(|fault| fault.starts_with(expected)),
            "{expected}: {faults:?}"
        );
    }
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(
        answer["lint"].to_string().contains("ClientIDs"),
        "{}",
        answer["lint"]
    );
}
