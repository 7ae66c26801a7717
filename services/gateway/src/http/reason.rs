//! Why something is done: a header, so that it goes with any operation.

use percent_encoding::percent_decode_str;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::problem::Failure;

/// Header with the reason, percent-encoded where it is not ASCII.
const REASON: &str = "veza-reason";

/// The reason, if one is given. What may be one, the workers say.
pub(super) struct Reason(pub(super) Option<String>);

impl<'a> ApiExtractor<'a> for Reason {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = String;
    type ParamRawType = String;

    fn register(registry: &mut Registry) {
        <String as Type>::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(<String as Type>::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<String>,
    ) -> Result<Self> {
        let Some(value) = request.headers().get(REASON) else {
            return Ok(Self(None));
        };
        let text = value.to_str().ok();
        let text = text.and_then(|text| percent_decode_str(text).decode_utf8().ok());
        let text = text.ok_or_else(|| {
            let detail = "a reason is ASCII, anything else in it percent-encoded UTF-8";
            Failure::unreadable("request.parameter", "Veza-Reason", detail)
        })?;
        Ok(Self(Some(text.into_owned())))
    }
}
