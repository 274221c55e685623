//! Where connections may go.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::EgressError;
use super::address::is_public;

/// What an operator allows to be connected to when a tenant names a host.
#[derive(Clone, Debug)]
pub struct EgressRules {
    /// The ports.
    pub ports: Vec<u16>,
    /// Whether hosts may be in private networks or on this machine, at any port.
    pub allow_private: bool,
    /// Certificate authorities besides those of the system.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for EgressRules {
    fn default() -> Self {
        Self { ports: vec![443], allow_private: false, extra_roots: Vec::new() }
    }
}

impl EgressRules {
    /// Trusts the certificates of a PEM file besides those of the system.
    ///
    /// # Errors
    /// A sentence, if there is none in it.
    pub fn trust(&mut self, pem: &[u8]) -> Result<(), String> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|error| format!("it is not a PEM file of certificates: {error}"))?;
        if certificates.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        self.extra_roots.extend(certificates);
        Ok(())
    }

    pub(super) fn allows_port(&self, port: u16) -> bool {
        self.allow_private || self.ports.contains(&port)
    }

    /// Refuses a host of which any address is not public: which one a client
    /// takes is chance.
    pub(super) fn check_addresses(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Result<(), EgressError> {
        match addresses.into_iter().find(|address| !self.allow_private && !is_public(*address)) {
            Some(address) => Err(EgressError::NotPublic(address)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_private_address_refuses_the_host() {
        let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let rules = EgressRules::default();
        assert!(rules.check_addresses(addresses(&["93.184.216.34", "2606:2800::1"])).is_ok());
        for bad in [&["93.184.216.34", "127.0.0.1"][..], &["::1"], &["2606:2800::1", "::ffff:10.0.0.1"]] {
            assert!(rules.check_addresses(addresses(bad)).is_err(), "{bad:?}");
            let open = EgressRules { allow_private: true, ..EgressRules::default() };
            assert!(open.check_addresses(addresses(bad)).is_ok());
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let mut rules = EgressRules::default();
        assert!(rules.trust(b"").is_err());
        assert!(rules.trust(b"-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n").is_err());
    }
}
