//! A signed test request to a source, sent through its own receiving.

use serde::{Deserialize, Serialize};

use crate::call::{Answer, Call, JsonBody};
use crate::handlers::sources::{missing, present};
use crate::problem::{ApiError, Result};
use crate::{SourceTest, SourceTested, TestRefusal};

/// What it is to be like; nothing at all is the provider's first sample.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct TestIn {
    sample: Option<usize>,
    event_type: Option<String>,
    body: Option<String>,
    content_type: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestOut {
    status: u16,
    event_id: Option<String>,
    outcome: String,
    detail: Option<String>,
    request: RequestOut,
}

/// The request that was sent; what is a secret in it is replaced.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestOut {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body_text: String,
}

impl From<SourceTested> for TestOut {
    fn from(tested: SourceTested) -> Self {
        Self {
            status: tested.status,
            event_id: tested.event.map(|event| event.to_string()),
            outcome: tested.outcome,
            detail: tested.detail,
            request: RequestOut {
                method: tested.method,
                path: tested.path,
                headers: tested.headers,
                body_text: tested.body,
            },
        }
    }
}

/// `POST /api/v1/becket/source/{source_id}/test`
pub(crate) async fn test(call: Call, JsonBody(body): JsonBody<TestIn>) -> Result<Answer<TestOut>> {
    let source = present(&call).await?.ok_or_else(|| missing(&call))?;
    let test = SourceTest {
        sample: body.sample,
        event_type: body.event_type,
        body: body.body,
        content_type: body.content_type,
    };
    let wanted = if test.sample.is_some() { "sample" } else { "eventType" };
    let tested = call.shared.api.control.source_test(&source, test).await;
    let tested = tested.map_err(|refusal| match refusal {
        TestRefusal::NotInForce => {
            let what = format!("the source `{}` receives nothing at the moment", source.name());
            ApiError::new("cannot_sign", what).hint("its warnings and the log say why")
        }
        TestRefusal::NoSample(words) => ApiError::body(wanted, words),
        TestRefusal::CannotSign(words) => ApiError::new("cannot_sign", words),
        TestRefusal::Closed => {
            ApiError::new("store_closed", "the gateway is starting or stopping").retry_after_s(5)
        }
    })?;
    call.audit("source.tested", &crate::names::public_id(&source));
    Ok(Answer::ok(tested.into()))
}
