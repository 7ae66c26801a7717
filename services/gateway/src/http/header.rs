//! Parameters that stand in headers: what poem-openapi must know of them, once for all.

use std::future::Future;

use poem::Request;

use super::problem::Failure;

/// What a header of the request says. To be a parameter of an operation, it also needs [`header_parameter`].
pub(super) trait Header: Sized {
    /// Reads it; the header may be missing.
    fn read(request: &Request) -> impl Future<Output = Result<Self, Failure>> + Send;
}

/// Lets a [`Header`] be a parameter of operations, as a text in the document.
macro_rules! header_parameter {
    ($header:ty) => {
        impl<'a> poem_openapi::ApiExtractor<'a> for $header {
            const TYPES: &'static [poem_openapi::ApiExtractorType] =
                &[poem_openapi::ApiExtractorType::Parameter];

            type ParamType = String;
            type ParamRawType = String;

            fn register(registry: &mut poem_openapi::registry::Registry) {
                <String as poem_openapi::types::Type>::register(registry);
            }

            fn param_in() -> Option<poem_openapi::registry::MetaParamIn> {
                Some(poem_openapi::registry::MetaParamIn::Header)
            }

            fn param_schema_ref() -> Option<poem_openapi::registry::MetaSchemaRef> {
                Some(<String as poem_openapi::types::Type>::schema_ref())
            }

            async fn from_request(
                request: &'a poem::Request,
                _: &mut poem::RequestBody,
                _: poem_openapi::ExtractParamOptions<String>,
            ) -> poem::Result<Self> {
                Ok(<Self as $crate::http::header::Header>::read(request).await?)
            }
        }
    };
}
pub(super) use header_parameter;
