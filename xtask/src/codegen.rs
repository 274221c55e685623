//! `codegen`: Rust from the service models, and the table of operations.
//!
//! Reads the models in `crates/wire/model/` and writes three files for each
//! service to `crates/wire/src/<service>/`: the typed shapes, the constraint
//! tables, and the operations. They depend on nothing but the model (and
//! rustfmt). The table of operations depends on what is served and on the
//! names of operations in the tests.

mod files;
mod model;
mod names;
mod operations_table;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use model::Model;

/// The model of the ECR API, and where its files go.
const ECR: (&str, &str) = ("crates/wire/model/ecr-2015-09-21.json", "crates/wire/src/ecr");

/// The model of each service, and where its files go.
const SERVICES: [(&str, &str); 3] = [
    ECR,
    ("crates/wire/model/iam-2010-05-08.json", "crates/wire/src/iam"),
    ("crates/wire/model/sts-2011-06-15.json", "crates/wire/src/sts"),
];

/// What to do with the generated text.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// Replace the checked-in files.
    Write,
    /// Compare with the checked-in files and fail when one differs.
    Check,
}

/// Runs the command.
pub(crate) fn run(mode: Mode) -> Result<(), String> {
    let root = workspace_root()?;
    let mut stale = Vec::new();
    let mut emit = |name: &str, text: &str| {
        let path = root.join(name);
        match mode {
            Mode::Write => write(&path, text)?,
            Mode::Check => {
                if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
                    stale.push(name.to_owned());
                }
            }
        }
        Ok::<_, String>(())
    };
    for (path, output) in SERVICES {
        let model = Model::read(&root, path)?;
        let sources = [
            ("shapes.rs", files::shapes_file(&model)?),
            ("schema.rs", files::schema_file(&model)?),
            ("operations.rs", files::operations_file(&model)?),
        ];
        for (name, source) in sources {
            emit(&format!("{output}/{name}"), &rustfmt(&root, &source)?)?;
        }
    }
    let ecr = Model::read(&root, ECR.0)?;
    let (table, untested) = operations_table::table(&root, &ecr)?;
    emit(operations_table::FILE, &table)?;
    emit(operations_table::README, &operations_table::readme(&root, &ecr)?)?;
    if !untested.is_empty() {
        return Err(format!("served, but no test names them: {}", untested.join(", ")));
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "generated files differ from what they are made of: {}; run `cargo xtask codegen` and commit the result",
        stale.join(", ")
    ))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn workspace_root() -> Result<PathBuf, String> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| "the xtask package has no parent directory".to_owned())
}

/// Formats through the rustfmt of the toolchain, so that `cargo fmt --check`
/// and `codegen --check` never disagree.
fn rustfmt(root: &Path, source: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot run rustfmt: {error}");
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // rustfmt reads all of its input before it writes: no deadlock, and the
    // handle is dropped at the end of this statement.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(source.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err("rustfmt refused the generated source".to_owned());
    }
    String::from_utf8(output.stdout).map_err(|_| "rustfmt wrote invalid UTF-8".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn checked_in_files_are_current() {
        run(Mode::Check).unwrap();
    }
}
