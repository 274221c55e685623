//! The api function: the ECR API, `POST /`.

use ironwharf_function::{Function, Scope, function};

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::lambda_runtime::run(Function::start(Scope::Api, function::all).await?).await
}
