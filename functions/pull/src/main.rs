//! The pull function: `GET` and `HEAD` on `/v2/`.

use ironwharf_function::{Function, Scope, function};

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::lambda_runtime::run(Function::start(Scope::Pull, function::data_plane).await?).await
}
