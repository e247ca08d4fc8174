//! Stores over what speaks the clouds' protocols: the same suite as for all others.
//!
//! `cargo xtask test` installs the servers; a plain `cargo test` passes over these tests.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chancery_store::Store;

use crate::suite::{Traits, conforms};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs azurite: run `cargo xtask test`"]
async fn azure() {
    let azurite = Server::azurite();
    let options = [
        ("azure_storage_account_name", "devstoreaccount1"),
        // The key that every azurite has.
        (
            "azure_storage_account_key",
            "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        ),
        ("azure_storage_endpoint", &*azurite.url),
        ("allow_http", "true"),
    ];
    let store = Store::open("az://chancery/issuer", options).unwrap();
    let traits = Traits {
        headers: true,
        versions_by_content: false,
    };
    conforms(&store, traits).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: run `cargo xtask test`"]
async fn s3() {
    let moto = Server::moto();
    let options = [
        ("aws_access_key_id", "anybody"),
        ("aws_secret_access_key", "anything"),
        ("aws_region", "us-east-1"),
        ("aws_endpoint", &*moto.url),
        ("aws_allow_http", "true"),
    ];
    let store = Store::open("s3://chancery/issuer", options).unwrap();
    let traits = Traits {
        headers: true,
        versions_by_content: true,
    };
    conforms(&store, traits).await;
}

/// A server that ends with the test, because its standard input does.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn azurite() -> Self {
        let folder = env::var_os("CHANCERY_FOREIGN_NODE").expect("a folder with azurite");
        let mut command = Command::new("node");
        command
            .arg(script("azure.cjs"))
            .env("NODE_PATH", Path::new(&folder).join("node_modules"));
        Self::start(command)
    }

    fn moto() -> Self {
        let python = env::var_os("CHANCERY_FOREIGN_PYTHON").expect("a Python with moto");
        let mut command = Command::new(python);
        // It says on standard error what it was asked for.
        command.arg(script("s3.py")).stderr(Stdio::null());
        Self::start(command)
    }

    /// Starts it, and returns when it has said where it is.
    fn start(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server that starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        let url = url.trim_end().to_owned();
        assert!(
            url.starts_with("http://"),
            "a server that is there: {url:?}"
        );
        Self { process, url }
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/servers")
        .join(name)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
