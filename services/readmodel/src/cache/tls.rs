//! Redis over TLS.

use std::borrow::Cow;
use std::path::Path;

use fred::error::ErrorKind;
use fred::prelude::Error;
use fred::types::config::TlsConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The address without its wish for TLS, and whether it has one. The client would else load the certificates
/// of this machine, and fail where there are none, whatever it is to trust.
pub(super) fn split(url: &str) -> (Cow<'_, str>, bool) {
    match url.strip_prefix("rediss") {
        Some(rest) => (format!("redis{rest}").into(), true),
        None => (url.into(), false),
    }
}

/// Trusts whom `ca_file` names, or else this machine trusts.
pub(super) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, Error> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let refuse = |reason: String| fault(format!("`redis.ca_file` ({}): {reason}", path.display()));
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let certificates = read.map_err(|error| refuse(error.to_string()))?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(refuse("there is no certificate in it".into()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config.into())
}

fn fault(reason: String) -> Error {
    Error::new(ErrorKind::Tls, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_trusted_is_said_at_once() {
        let absent = connector(Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        assert!(absent.details().contains("redis.ca_file"), "{absent}");
        assert!(
            connector(Some(Path::new(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/Cargo.toml"
            ))))
            .is_err()
        );
    }

    #[test]
    fn only_an_address_with_an_s_is_secure() {
        assert_eq!(split("rediss://a:1"), ("redis://a:1".into(), true));
        assert_eq!(split("rediss-cluster://a"), ("redis-cluster://a".into(), true));
        assert_eq!(split("redis-sentinel://a"), ("redis-sentinel://a".into(), false));
    }
}
