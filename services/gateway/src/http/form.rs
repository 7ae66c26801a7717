//! Bodies of forms (`application/x-www-form-urlencoded`), as OAuth has them: names that are not known are left
//! alone, and a name that comes twice is refused (RFC 6749, 3.2).

use std::collections::BTreeMap;
use std::marker::PhantomData;

use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::body::{BodyLimits, read};

const FORM: &str = "application/x-www-form-urlencoded";

/// A body; `T` says in the document what can be in it.
pub(super) struct Form<T> {
    fields: Option<BTreeMap<String, String>>,
    shape: PhantomData<fn() -> T>,
}

impl<T> Form<T> {
    /// What was sent; `None` when it was no form, or had a name twice.
    pub(super) fn into_fields(self) -> Option<BTreeMap<String, String>> {
        self.fields
    }
}

impl<'a, T: Type> ApiExtractor<'a> for Form<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: FORM,
                schema: T::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let kind = request.content_type().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let limits = request.data::<BodyLimits>().copied();
        let limits = limits.expect("every request carries its limits");
        let bytes = read(body.take()?, limits).await?;
        Ok(Self {
            fields: fields(&bytes).filter(|_| kind.eq_ignore_ascii_case(FORM)),
            shape: PhantomData,
        })
    }
}

fn fields(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(bytes) {
        if fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_and_a_name_comes_once() {
        let read = fields(b"grant_type=client_credentials&scope=a+b%3Ac&x").unwrap();
        assert_eq!(read["grant_type"], "client_credentials");
        assert_eq!(read["scope"], "a b:c");
        assert_eq!(fields(b"a=1&a=2"), None);
        assert_eq!(fields(b"").unwrap().len(), 0);
    }
}
