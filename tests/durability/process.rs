//! The real server as a process of its own, which can be killed.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use ironwharf_local::test_app::TestApp;
use ironwharf_tests::Client;

/// How long a server may take to say that it listens. Not a pause: a start
/// that reaches it has failed.
const START_LIMIT: Duration = Duration::from_mins(1);

const SIGKILL: i32 = 9;

/// A running server. Dropping it kills it and waits until it is gone.
pub(crate) struct Process {
    child: Child,
    /// Held open: a server cannot say anything to a closed pipe.
    _stdout: BufReader<ChildStdout>,
    host: String,
    log: PathBuf,
}

impl Process {
    /// Starts the server over `folder/data`, on a port of its own.
    pub(crate) async fn start(folder: &Path) -> Self {
        let log = folder.join("log");
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--account", TestApp::ACCOUNT, "--region", TestApp::REGION])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .env("IRONWHARF_ROOT_ACCESS_KEY_ID", TestApp::ACCESS_KEY_ID)
            .env("IRONWHARF_ROOT_SECRET_ACCESS_KEY", TestApp::SECRET_ACCESS_KEY)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log).expect("a log file"))
            .spawn()
            .expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).map(|_| (line, stdout))
        });
        let Ok(read) = tokio::time::timeout(START_LIMIT, read).await else {
            // Nothing reads its output any more, and nothing may be left behind.
            child.kill().and_then(|()| child.wait()).expect("the server can be killed");
            panic!("the server did not say that it listens within {START_LIMIT:?}\n{}", tail(&log));
        };
        let (line, stdout) = read.expect("the reader runs").expect("the server's output can be read");
        let host = line.trim_end().strip_prefix("ironwharf listening on http://").map(str::to_owned);
        let server = Self { child, _stdout: stdout, host: host.unwrap_or_default(), log };
        assert!(!server.host.is_empty(), "the server said {line:?} instead of where it listens\n{}", tail(&server.log));
        server
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.host)
    }

    /// Kills the server with SIGKILL, at once, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server can be killed");
        let status = self.child.wait().expect("the server ends");
        assert_eq!(status.signal(), Some(SIGKILL), "the server ended by itself: {status}\n{}", tail(&self.log));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the end of the server's log:\n{}", tail(&self.log));
        }
        // Both fail only if it is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// The program to test: `IRONWHARF_BIN`, or the one built beside this test,
/// which is brought up to date first.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("IRONWHARF_BIN") {
            return PathBuf::from(given);
        }
        // This test is `target/<profile>/deps/durability-<hash>`.
        let test = std::env::current_exe().expect("the test knows its own place");
        let profile_folder = test.parent().and_then(Path::parent).expect("a test is in target/<profile>/deps");
        build(profile_folder);
        let binary = profile_folder.join("ironwharf");
        assert!(binary.is_file(), "there is no server at {}; set IRONWHARF_BIN to one", binary.display());
        binary
    })
}

fn build(profile_folder: &Path) {
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} is not the folder of a profile", profile_folder.display()),
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "ironwharf-local", "--bin", "ironwharf", "--profile", profile]);
    cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    // What cargo says about this test's package is wrong for the ones it builds
    // now, and would make it build some of them again.
    for (name, _) in std::env::vars_os() {
        let describes_package = name
            .to_str()
            .is_some_and(|name| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix)));
        if describes_package {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the server cannot be built: {status}; set IRONWHARF_BIN to one that is built already");
}
