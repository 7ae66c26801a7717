//! Certificates for servers on this machine.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::TestFolder;

/// A certificate for `127.0.0.1` and `localhost`, its key, and who signed it. The files go with this value.
#[derive(Debug)]
pub struct TestCertificates(TestFolder);

impl TestCertificates {
    /// Makes them.
    ///
    /// # Panics
    /// When they cannot be made or written.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = || KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate can be made");
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let (params, own) = (CertificateParams::new(names).expect("these are names"), key());
        let signed = params
            .signed_by(&own, &issuer)
            .expect("a certificate can be signed");
        let made = Self(TestFolder::new());
        let write = |path: PathBuf, pem: String| std::fs::write(path, pem).expect("the folder takes files");
        write(made.ca(), issuer.pem());
        write(made.certificate(), signed.pem());
        write(made.key(), own.serialize_pem());
        made
    }

    /// File with the certificate of who signed.
    pub fn ca(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// File with the certificate of the server.
    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("server.pem")
    }

    /// File with its key.
    pub fn key(&self) -> PathBuf {
        self.0.path().join("server.key")
    }
}

impl Default for TestCertificates {
    fn default() -> Self {
        Self::new()
    }
}
