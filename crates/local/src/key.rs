//! `ironwharf key`: the encryption keys of tenants, for whoever operates the registry.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use ironwharf_model::{AccountId, Region};
use serde_json::{Value, json};

use crate::api_client::{self, OPERATOR};
use crate::cli::{DataDir, Sentence, account, region};
use crate::credentials::{self, Endpoint};

const EXAMPLES: &str = "\
Examples:
  ironwharf key create --account 111111111111 --alias team     the tenant names it alias/team
  ironwharf key list --account 111111111111
  ironwharf key disable --account 111111111111 alias/team      layers under it cannot be read or written
  aws ecr create-repository --repository-name app \\
      --encryption-configuration encryptionType=KMS,kmsKey=alias/team";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    data_dir: DataDir,
    /// The Region of the keys [default: the server's]
    #[arg(long, global = true, value_parser = region)]
    region: Option<Region>,
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key that the repositories of an account can be encrypted with
    Create {
        /// Whose key it is
        #[arg(long, value_parser = account)]
        account: AccountId,
        /// A name for it, so that alias/NAME means it in that account
        #[arg(long, value_name = "NAME")]
        alias: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// List the keys of an account
    List {
        /// Whose keys
        #[arg(long, value_parser = account)]
        account: AccountId,
    },
    /// Let nobody read or write layers that are under a key
    ///
    /// Manifests, tags and settings of its repositories are under the key of the
    /// registry, and stay readable.
    Disable(OneKey),
    /// Let a disabled key be used again
    Enable(OneKey),
}

#[derive(Debug, Args)]
struct OneKey {
    /// Whose key it is
    #[arg(long, value_parser = account)]
    account: AccountId,
    /// Its id, its ARN or its alias
    key: String,
}

impl KeyArgs {
    /// Asks the running server, and says what to print.
    pub(crate) async fn run(self) -> Result<String, Sentence> {
        let data_dir = self.data_dir.resolve()?;
        let noted = credentials::read_endpoint(&data_dir);
        let region = self.region.map_or(noted.region, |region| region.to_string());
        let server = Endpoint { url: noted.url, region };
        let root = credentials::load(&data_dir)?;
        let ask = async |operation: &'static str, input: Value| {
            api_client::call(&root, &server, OPERATOR, operation, &input).await
        };
        let text = |key: &Value, name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match self.command {
            KeyCommand::Create { account, alias, description } => {
                let mut input = json!({ "accountId": account });
                if let Some(fields) = input.as_object_mut() {
                    fields.extend(alias.map(|alias| ("alias".to_owned(), json!(alias))));
                    fields.extend(description.map(|description| ("description".to_owned(), json!(description))));
                }
                let answer = ask("CreateKey", input).await?;
                Ok(format!("{}\n", answer.get("key").map(|key| text(key, "keyArn")).unwrap_or_default()))
            }
            KeyCommand::List { account } => {
                let answer = ask("ListKeys", json!({ "accountId": account })).await?;
                let mut lines = String::from("KEY                                   STATE            ALIASES\n");
                for key in answer.get("keys").and_then(Value::as_array).into_iter().flatten() {
                    let aliases = key.get("aliases").and_then(Value::as_array).into_iter().flatten();
                    let aliases: Vec<&str> = aliases.filter_map(Value::as_str).collect();
                    let (id, state) = (text(key, "keyId"), text(key, "state"));
                    // Writing to a String cannot fail.
                    let _ = writeln!(lines, "{id:<36}  {state:<15}  {}", aliases.join(" "));
                }
                Ok(lines)
            }
            KeyCommand::Disable(OneKey { account, key }) => {
                ask("DisableKey", json!({ "accountId": account, "keyId": key })).await?;
                Ok(format!("key {key} of account {account} is disabled\n"))
            }
            KeyCommand::Enable(OneKey { account, key }) => {
                ask("EnableKey", json!({ "accountId": account, "keyId": key })).await?;
                Ok(format!("key {key} of account {account} is enabled\n"))
            }
        }
    }
}
