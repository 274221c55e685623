//! Settings of a registry as a whole.

use ironwharf_model::{AccountSetting, Result};
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{
    GetAccountSettingRequest, GetAccountSettingResponse, PutAccountSettingRequest, PutAccountSettingResponse,
};

use super::{Call, Operation, Target};

/// The condition key that names the setting. (Service Authorization Reference:
/// Amazon ECR.)
const NAMED: &str = "ecr:AccountSetting";

pub(super) struct GetAccountSetting;

impl Operation for GetAccountSetting {
    const NAME: OperationName = OperationName::GetAccountSetting;
    type Input = GetAccountSettingRequest;
    type Output = GetAccountSettingResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    fn condition_keys(input: &Self::Input) -> Vec<(&'static str, String)> {
        vec![(NAMED, input.name.clone())]
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let setting = AccountSetting::parse(&input.name)?;
        let settings = call.permit.table()?.registry(call.permit.registry()).await?.settings;
        Ok(GetAccountSettingResponse { name: Some(input.name), value: Some(settings.value(setting).to_owned()) })
    }
}

pub(super) struct PutAccountSetting;

impl Operation for PutAccountSetting {
    const NAME: OperationName = OperationName::PutAccountSetting;
    type Input = PutAccountSettingRequest;
    type Output = PutAccountSettingResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    fn condition_keys(input: &Self::Input) -> Vec<(&'static str, String)> {
        vec![(NAMED, input.name.clone())]
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let registry = call.permit.registry();
        let setting = AccountSetting::parse(&input.name)?;
        let value = setting.parse_value(&input.value)?;
        call.permit.table()?.put_account_setting(registry, setting, value).await?;
        call.permit.region().policies.forget_registry(registry);
        Ok(PutAccountSettingResponse { name: Some(input.name), value: Some(input.value) })
    }
}
