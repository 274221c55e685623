//! The command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ironwharf_model::{AccountId, Region};
use ironwharf_registry::{EgressRules, RateLimits, RegistryHost};

use crate::account::AccountArgs;
use crate::audit::AuditArgs;
use crate::credentials::{self, Endpoint, Format};
use crate::key::KeyArgs;
use crate::logging::{self, LogFormat};
use crate::login_password;
use crate::server::{ServeOptions, serve};

/// What goes wrong on the command line, as a sentence for the terminal.
pub type Sentence = String;

const EXAMPLES: &str = "\
Examples:
  ironwharf                                   start a registry on localhost:5100
  ironwharf serve --listen 127.0.0.1:0        on any free port
  eval \"$(ironwharf credentials --format env)\"   let `aws ecr` use it
  ironwharf login-password | docker login --username AWS --password-stdin localhost:5100
  docker push localhost:5100/hello            the repository is created by the push
  ironwharf account create --name team-a      another account, isolated from this one

Environment:
  IRONWHARF_ROOT_ACCESS_KEY_ID, IRONWHARF_ROOT_SECRET_ACCESS_KEY
                      root credentials to use instead of generated ones
  RUST_LOG            what is logged, for example debug or ironwharf_registry=trace
  NO_COLOR            no colours in logs";

/// An Amazon-ECR-compatible container registry.
#[derive(Debug, Parser)]
#[command(name = "ironwharf", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the registry (the default command)
    #[command(after_help = EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Show the root credentials
    Credentials(CredentialsArgs),
    /// Print a password for `docker login --username AWS`, good for 12 hours
    LoginPassword(LoginPasswordArgs),
    /// Make, list, suspend and delete accounts (tenants)
    Account(AccountArgs),
    /// Make, list, disable and enable the encryption keys of accounts
    Key(KeyArgs),
    /// Show who changed what, and who was refused
    Audit(AuditArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DataDir {
    /// Where everything is kept [default: ironwharf in the user's data folder]
    #[arg(long, value_name = "FOLDER", global = true, env = "IRONWHARF_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The address to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5100", env = "IRONWHARF_LISTEN", value_parser = listen)]
    listen: SocketAddr,
    #[command(flatten)]
    data_dir: DataDir,
    /// The account the registry belongs to, 12 digits
    #[arg(long, default_value = "000000000000", env = "IRONWHARF_ACCOUNT", value_parser = account)]
    account: AccountId,
    /// The Region of requests that name none
    #[arg(long, default_value = "us-east-1", env = "AWS_REGION", value_parser = region)]
    region: Region,
    /// The host in image names, for example {account}.dkr.ecr.{region}.amazonaws.com [default: localhost:<port>]
    #[arg(long, value_name = "TEMPLATE", env = "IRONWHARF_REGISTRY_HOST")]
    registry_host: Option<String>,
    /// Use AWS services at this URL (`LocalStack`, for example) instead of the embedded ones
    #[arg(long, value_name = "URL", env = "IRONWHARF_ENDPOINT_URL", value_parser = endpoint_url)]
    endpoint_url: Option<String>,
    /// Give every new registry a creation template that lets a push create its
    /// repository. One that has it keeps it until the template is deleted
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, action = clap::ArgAction::Set)]
    create_on_push: bool,
    /// How often an account may do what
    #[arg(long, value_enum, default_value_t = RateLimitsOption::Off, env = "IRONWHARF_RATE_LIMITS")]
    rate_limits: RateLimitsOption,
    /// For development: let web identity issuers be at private addresses and any
    /// port, such as `https://localhost:8443`. Their URLs still have to be https
    /// with a host name. Tenants can then make the registry connect to anything
    /// that this machine reaches
    #[arg(long, env = "IRONWHARF_ALLOW_PRIVATE_ISSUERS", value_name = "BOOL", default_value_t = false, default_missing_value = "true", num_args = 0..=1, action = clap::ArgAction::Set)]
    allow_private_issuers: bool,
    /// Trust the certificates in this PEM file too when asking a web identity
    /// issuer for its keys
    #[arg(long, value_name = "FILE", env = "IRONWHARF_ISSUER_CA")]
    issuer_ca: Option<PathBuf>,
    /// How logs are written [default: text on a terminal, else json]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RateLimitsOption {
    /// As often as it likes
    Off,
    /// ECR's default quotas, for each account: over them a request waits first, then gets a 429
    Ecr,
}

impl From<RateLimitsOption> for RateLimits {
    fn from(option: RateLimitsOption) -> Self {
        match option {
            RateLimitsOption::Off => Self::Unlimited,
            RateLimitsOption::Ecr => Self::ECR,
        }
    }
}

#[derive(Debug, Args)]
struct CredentialsArgs {
    #[command(flatten)]
    data_dir: DataDir,
    /// How they are printed
    #[arg(long, value_enum, default_value_t = CredentialsFormat::Text)]
    format: CredentialsFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CredentialsFormat {
    /// For people
    Text,
    /// Shell commands, for eval
    Env,
    /// For AWS `credential_process`
    Json,
}

#[derive(Debug, Args)]
struct LoginPasswordArgs {
    #[command(flatten)]
    data_dir: DataDir,
    /// The Region the password is for [default: `AWS_REGION`, `AWS_DEFAULT_REGION`, or the server's]
    #[arg(long, value_parser = region)]
    region: Option<Region>,
    /// The account whose registry the password leads to, on a host that names none [default: your own]
    #[arg(long, value_parser = account)]
    registry: Option<AccountId>,
}

impl From<CredentialsFormat> for Format {
    fn from(format: CredentialsFormat) -> Self {
        match format {
            CredentialsFormat::Text => Self::Text,
            CredentialsFormat::Env => Self::Env,
            CredentialsFormat::Json => Self::Json,
        }
    }
}

pub(crate) fn account(text: &str) -> Result<AccountId, Sentence> {
    AccountId::parse(text).map_err(|_| "an account id has 12 digits".to_owned())
}

fn listen(text: &str) -> Result<SocketAddr, Sentence> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let parsed = numeric.as_deref().unwrap_or(text).parse();
    parsed.map_err(|_| "an address and a port such as 127.0.0.1:5100, or 0.0.0.0:5100 for all addresses".to_owned())
}

fn endpoint_url(text: &str) -> Result<String, Sentence> {
    let authority = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_url = authority.is_some_and(|authority| !authority.is_empty()) && text.parse::<http::Uri>().is_ok();
    if is_url { Ok(text.to_owned()) } else { Err("an endpoint is a URL such as http://localhost:4566".to_owned()) }
}

/// Where the registry may connect to when a tenant names a host.
fn egress_rules(allow_private: bool, ca: Option<&Path>) -> Result<EgressRules, Sentence> {
    let mut rules = EgressRules { allow_private, ..EgressRules::default() };
    if let Some(file) = ca {
        let in_the_way = |reason: String| format!("cannot use {} as --issuer-ca: {reason}", file.display());
        let pem = std::fs::read(file).map_err(|error| in_the_way(error.to_string()))?;
        rules.trust(&pem).map_err(in_the_way)?;
    }
    Ok(rules)
}

/// Prints what a command is for.
fn print(text: &str) -> Result<(), Sentence> {
    use std::io::Write as _;
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(|error| format!("cannot write the answer: {error}"))
}

/// The Region the environment names, as the AWS CLI reads it.
fn region_of_environment() -> Result<Option<Region>, Sentence> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    named.map(|name| region(&name)).transpose()
}

pub(crate) fn region(text: &str) -> Result<Region, Sentence> {
    Region::parse(text).map_err(|_| "a Region has a name such as us-east-1".to_owned())
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// One sentence that says what is wrong.
    pub fn run(self) -> Result<(), Sentence> {
        match self.command {
            None => self.serve.run(),
            Some(Command::Serve(arguments)) => arguments.run(),
            Some(Command::Credentials(arguments)) => arguments.run(),
            Some(Command::LoginPassword(arguments)) => {
                let data_dir = arguments.data_dir.resolve()?;
                let noted = credentials::read_endpoint(&data_dir);
                let region = match arguments.region {
                    Some(region) => region,
                    None => region_of_environment()?.map_or_else(|| region(&noted.region), Ok)?,
                };
                let root = credentials::load(&data_dir)?;
                let server = Endpoint { url: noted.url, region: region.to_string() };
                let fetched = login_password::fetch(&root, &server, arguments.registry.as_ref());
                print(&format!("{}\n", runtime()?.block_on(fetched)?))
            }
            Some(Command::Audit(arguments)) => print(&runtime()?.block_on(arguments.run())?),
            Some(Command::Account(arguments)) => print(&runtime()?.block_on(arguments.run())?),
            Some(Command::Key(arguments)) => print(&runtime()?.block_on(arguments.run())?),
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Sentence> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot start: {error}"))
}

impl DataDir {
    pub(crate) fn resolve(self) -> Result<PathBuf, Sentence> {
        let from_environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        self.data_dir
            .or_else(|| Some(from_environment("XDG_DATA_HOME")?.join("ironwharf")))
            .or_else(|| Some(from_environment("HOME")?.join(".local/share/ironwharf")))
            .ok_or_else(|| "there is no home folder to keep data in; name one with --data-dir".to_owned())
    }
}

impl ServeArgs {
    fn run(self) -> Result<(), Sentence> {
        logging::start(self.log_format)?;
        let data_dir = self.data_dir.resolve()?;
        // A name without a port, like AWS's, is reached over TLS, which
        // something in front ends.
        let parse = |template: &str| RegistryHost::parse(template, !template.contains(':'));
        let registry_host = self.registry_host.as_deref().map(parse).transpose()?;
        let egress = egress_rules(self.allow_private_issuers, self.issuer_ca.as_deref())?;
        let root = credentials::load_or_create(&data_dir)?;
        let options = ServeOptions {
            listen: self.listen,
            data_dir,
            account: self.account,
            region: self.region,
            registry_host,
            endpoint_url: self.endpoint_url,
            create_on_push: self.create_on_push,
            rate_limits: self.rate_limits.into(),
            egress,
            root,
        };
        runtime()?.block_on(serve(options))
    }
}

impl CredentialsArgs {
    fn run(self) -> Result<(), Sentence> {
        let data_dir = self.data_dir.resolve()?;
        let root = credentials::load(&data_dir)?;
        let endpoint = credentials::read_endpoint(&data_dir);
        print(&root.show(self.format.into(), &endpoint))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_command() {
        let cli = Cli::try_parse_from(["ironwharf", "--listen", "127.0.0.1:1", "--create-on-push=false"]).unwrap();
        assert!(cli.command.is_none());
        assert!(!cli.serve.create_on_push);
        let cli = Cli::try_parse_from(["ironwharf", "--listen", "localhost:0"]).unwrap();
        assert!(cli.serve.listen.ip().is_loopback());
        for bad in [["--account", "12"], ["--region", "nowhere"], ["--listen", "5100"], ["--create-on-push", "maybe"]] {
            assert!(Cli::try_parse_from(["ironwharf"].into_iter().chain(bad)).is_err(), "{bad:?}");
        }
    }
}
