//! Maintenance commands of the workspace, run as `cargo xtask <command>`.
//!
//! This file only dispatches: every command lives in a module of its own and
//! returns an error as one sentence, which is printed and turned into exit
//! code 1. A wrong command line is exit code 2.

mod bench;
mod codegen;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

commands:
  codegen [--check]   write the generated files of crates/wire from the API model and
                      the table of operations, or only verify that the checked-in
                      ones are current
  bench               measure the release binary beside Debian's docker-registry
  bench neighbours    measure what one tenant notices of another one that asks for
                      ten times what it may have";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["codegen"] => codegen::run(codegen::Mode::Write),
        ["codegen", "--check"] => codegen::run(codegen::Mode::Check),
        ["bench", "neighbours"] => bench::neighbours::run().map_err(|error| error.to_string()),
        ["bench"] => bench::run().map_err(|error| error.to_string()),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
