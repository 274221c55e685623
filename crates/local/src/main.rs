//! `ironwharf`: a registry on this machine.

use std::process::ExitCode;

use clap::Parser as _;
use ironwharf_local::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("ironwharf: {sentence}");
            ExitCode::from(2)
        }
    }
}
