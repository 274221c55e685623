//! `ironwharf account`: tenants, for whoever operates the registry.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use ironwharf_model::AccountId;
use serde_json::{Value, json};

use crate::api_client::{self, OPERATOR};
use crate::cli::{DataDir, Sentence, account};
use crate::credentials::{self, Endpoint, RootKey};

const EXAMPLES: &str = "\
Examples:
  ironwharf account create --name team-a             prints the account's id and root key, once
  ironwharf account create --name team-a --account-id 111111111111 --format env
  ironwharf account list
  ironwharf account suspend 111111111111             nobody gets in within 30 seconds
  ironwharf account revoke 111111111111 --role ci    ends that role's sessions and logins";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AccountArgs {
    #[command(flatten)]
    data_dir: DataDir,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Make an account; its root key is shown this once
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// Its id, 12 digits [default: a random one]
        #[arg(long, value_parser = account)]
        account_id: Option<AccountId>,
        /// How the root key is printed
        #[arg(long, value_enum, default_value_t = crate::cli::CredentialsFormat::Text)]
        format: crate::cli::CredentialsFormat,
    },
    /// List the accounts
    List,
    /// Make another root key; of three, the oldest stops working
    RootKey {
        /// The account
        #[arg(value_parser = account)]
        account_id: AccountId,
        /// How the key is printed
        #[arg(long, value_enum, default_value_t = crate::cli::CredentialsFormat::Text)]
        format: crate::cli::CredentialsFormat,
    },
    /// Refuse everybody in an account, and everybody who wants something of it
    ///
    /// Within 30 seconds nobody gets in. Links to layers that were given out before
    /// then work until they expire, 15 minutes at most: each reads one layer.
    Suspend {
        /// The account
        #[arg(value_parser = account)]
        account_id: AccountId,
    },
    /// Let a suspended account work again
    Resume {
        /// The account
        #[arg(value_parser = account)]
        account_id: AccountId,
    },
    /// End the sessions and logins of an account, or of one user or role in it
    Revoke {
        /// The account
        #[arg(value_parser = account)]
        account_id: AccountId,
        /// Only those of this user
        #[arg(long, conflicts_with = "role")]
        user: Option<String>,
        /// Only those of this role
        #[arg(long)]
        role: Option<String>,
    },
    /// Delete a suspended account that has no repositories
    Delete {
        /// The account
        #[arg(value_parser = account)]
        account_id: AccountId,
    },
}

impl AccountArgs {
    /// Asks the running server, and says what to print.
    pub(crate) async fn run(self) -> Result<String, Sentence> {
        let data_dir = self.data_dir.resolve()?;
        let server = credentials::read_endpoint(&data_dir);
        let root = credentials::load(&data_dir)?;
        let ask = async |operation: &'static str, input: Value| {
            api_client::call(&root, &server, OPERATOR, operation, &input).await
        };
        match self.command {
            AccountCommand::Create { name, account_id, format } => {
                let mut input = json!({ "accountName": name });
                if let (Some(id), Some(fields)) = (account_id, input.as_object_mut()) {
                    fields.insert("accountId".to_owned(), json!(id));
                }
                new_key(&ask("CreateAccount", input).await?, format.into(), &server)
            }
            AccountCommand::RootKey { account_id, format } => {
                let answer = ask("CreateRootAccessKey", json!({ "accountId": account_id })).await?;
                new_key(&answer, format.into(), &server)
            }
            AccountCommand::List => {
                let mut text = String::from("ACCOUNT       STATUS     NAME\n");
                let mut input = json!({});
                loop {
                    let page = ask("ListAccounts", input).await?;
                    for account in page.get("accounts").and_then(Value::as_array).into_iter().flatten() {
                        let field = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default();
                        let (id, status, name) = (field("accountId"), field("status"), field("accountName"));
                        // Writing to a String cannot fail.
                        let _ = writeln!(text, "{id}  {status:<9}  {name}");
                    }
                    match page.get("nextToken") {
                        Some(token) => input = json!({ "nextToken": token }),
                        None => return Ok(text),
                    }
                }
            }
            AccountCommand::Suspend { account_id } => {
                ask("SuspendAccount", json!({ "accountId": account_id })).await?;
                Ok(format!("account {account_id} is suspended; access ends within 30 seconds\n"))
            }
            AccountCommand::Resume { account_id } => {
                ask("ResumeAccount", json!({ "accountId": account_id })).await?;
                Ok(format!("account {account_id} is active\n"))
            }
            AccountCommand::Revoke { account_id, user, role } => {
                let mut input = json!({ "accountId": account_id });
                if let Some(fields) = input.as_object_mut() {
                    fields.extend(user.map(|user| ("userName".to_owned(), json!(user))));
                    fields.extend(role.map(|role| ("roleName".to_owned(), json!(role))));
                }
                ask("RevokeSessions", input).await?;
                Ok("sessions and logins issued until now end within 30 seconds\n".to_owned())
            }
            AccountCommand::Delete { account_id } => {
                ask("DeleteAccount", json!({ "accountId": account_id })).await?;
                Ok(format!("account {account_id} is deleted\n"))
            }
        }
    }
}

/// A new root key as it is shown.
fn new_key(answer: &Value, format: credentials::Format, server: &Endpoint) -> Result<String, Sentence> {
    let field = |path: &str| answer.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let incomplete = || "the registry's answer has no key".to_owned();
    let key = RootKey {
        access_key_id: field("/rootAccessKey/accessKeyId").ok_or_else(incomplete)?,
        secret_access_key: field("/rootAccessKey/secretAccessKey").ok_or_else(incomplete)?,
    };
    let shown = key.show(format, server);
    let account = field("/account/accountId").ok_or_else(incomplete)?;
    Ok(match format {
        credentials::Format::Text => format!("account:           {account}\n{shown}"),
        credentials::Format::Env => format!("{shown}export IRONWHARF_TENANT={account}\n"),
        credentials::Format::Json => shown,
    })
}
