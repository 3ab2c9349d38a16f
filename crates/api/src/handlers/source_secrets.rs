//! Secrets that a provider's handshake brought along: shown, accepted, forgotten.
//!
//! Invariants: a secret is only shown when it is asked for by name, and that is logged; one that
//! waits verifies nothing until it was accepted. What the operator gave (in the file, or by the API)
//! is neither shown nor changed here.

use becket_store::{Application, ApplicationChange, Changed};
use serde::{Deserialize, Serialize};

use crate::SourceCredentials;
use crate::call::{Answer, Call, JsonBody};
use crate::handlers::applications::told;
use crate::handlers::sources;
use crate::problem::{ApiError, Result};
use crate::times;
use crate::turns;

/// One secret that a handshake brought along.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CapturedOut {
    name: String,
    value: String,
    accepted: bool,
    received_at: String,
}

/// All of them, oldest first.
#[derive(Serialize)]
pub(crate) struct SecretsOut {
    data: Vec<CapturedOut>,
}

impl SecretsOut {
    fn of(credentials: &SourceCredentials) -> Self {
        let data = credentials.captured.iter().map(|captured| CapturedOut {
            name: captured.name.clone(),
            value: captured.value.clone(),
            accepted: captured.accepted,
            received_at: times::text(captured.received_at_ms),
        });
        Self { data: data.collect() }
    }
}

/// `GET /api/v1/becket/source/{source_id}/secret`
pub(crate) async fn get(call: Call) -> Result<Answer<SecretsOut>> {
    let source = sources::present(&call).await?.ok_or_else(|| sources::missing(&call))?;
    let secrets = SecretsOut::of(&sources::credentials(&call, &source)?);
    call.audit("source.secret.shown", &source.name());
    Ok(Answer::ok(secrets))
}

/// Which secret is accepted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptIn {
    /// The secret as it was shown. Whoever knows the URL can send another one at any time, so that
    /// there is no "the one that waits".
    value: String,
}

/// `POST /api/v1/becket/source/{source_id}/secret/accept`
pub(crate) async fn accept(
    call: Call,
    JsonBody(body): JsonBody<AcceptIn>,
) -> Result<Answer<SecretsOut>> {
    let accept = |source: &Application, credentials: &mut SourceCredentials| {
        let mut accepted = false;
        for captured in &mut credentials.captured {
            // One that came after the operator has looked is not what the operator means.
            if !captured.accepted && captured.value == body.value {
                captured.accepted = true;
                accepted = true;
            }
        }
        if !accepted {
            let what = format!("no such secret of `{}` waits to be accepted", source.name());
            return Err(ApiError::new("nothing_waits", what).hint(
                "let the provider repeat its handshake; `becket sources secret show` lists what came",
            ));
        }
        credentials.keep_some();
        Ok(())
    };
    changed(&call, accept, "source.secret.accepted").await
}

/// `DELETE /api/v1/becket/source/{source_id}/secret`
pub(crate) async fn forget(call: Call) -> Result<Answer<SecretsOut>> {
    let forget = |_: &Application, credentials: &mut SourceCredentials| {
        credentials.captured.clear();
        Ok(())
    };
    changed(&call, forget, "source.secret.forgotten").await
}

/// Keeps what `change` makes of the secrets; also for a source of the operator's file: the file does
/// not have these secrets.
async fn changed(
    call: &Call,
    change: impl Fn(&Application, &mut SourceCredentials) -> Result<()>,
    action: &'static str,
) -> Result<Answer<SecretsOut>> {
    let found = sources::present(call).await?.ok_or_else(|| sources::missing(call))?;
    let _turn = call.shared.turns.take(found.key).await;
    turns::again(|| async {
        let source = sources::present(call).await?.ok_or_else(|| sources::missing(call))?;
        let mut credentials = sources::credentials(call, &source)?;
        change(&source, &mut credentials)?;
        let wanted = ApplicationChange {
            credentials: Some(sources::sealed(call, source.id, &credentials)?),
            ..source.change()
        };
        let now_ms = call.now_ms();
        match call.store().application_change(call.owner, source.key, wanted, now_ms).await? {
            Changed::Done(source) => {
                told(call, &source, action).await;
                Ok(Answer::ok(SecretsOut::of(&credentials)))
            }
            Changed::Meanwhile => Err(turns::quicker("source", &source.name())),
            Changed::NameTaken | Changed::Absent => Err(sources::missing(call)),
        }
    })
    .await
}
