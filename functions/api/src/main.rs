//! The api function: the ECR API, `POST /`.

use ironwharf_function::{Function, Scope};

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::lambda_runtime::run(Function::start(Scope::Api).await?).await
}
