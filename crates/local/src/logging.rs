//! Logs: structured, on standard error.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::cli::Sentence;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged unless `RUST_LOG` says otherwise: what the registry does,
/// and what goes wrong elsewhere. `s3s` calls every refused request an error,
/// and would log signatures at debug level: it stays silent whatever is asked.
const DEFAULT_FILTER: &str = "warn,ironwharf_registry=info,ironwharf_front=info,ironwharf_local=info";
const SILENCED: [&str; 6] = [
    "s3s=off",
    "aws_config=error",
    "aws_runtime=warn",
    "aws_sigv4=warn",
    "aws_smithy_runtime=warn",
    "aws_smithy_runtime_api=warn",
];

/// Starts logging.
pub fn start(format: Option<LogFormat>) -> Result<(), Sentence> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => {
            EnvFilter::try_new(&filter).map_err(|error| format!("RUST_LOG='{filter}' is not a log filter: {error}"))?
        }
        _ => EnvFilter::new(DEFAULT_FILTER),
    };
    let mut filter = filter;
    for silenced in SILENCED {
        filter = filter.add_directive(silenced.parse().map_err(|error| format!("cannot start logging: {error}"))?);
    }
    let is_terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        // A log that cannot be written must not end the request it is about.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("cannot start logging: {error}"))
}
