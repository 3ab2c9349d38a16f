//! Judging a certificate that a provider signs with.
//!
//! Invariants: a chain must end at a trusted authority, every certificate in it valid at the given
//! time. Some providers publish their own certificate without the one that issued it; there is then
//! no chain to follow, and it is trusted only where the entry names its `subject` and pins the host
//! it came from, over TLS. Name and time of the first certificate were judged when it was read.
//! Absent: revocation lists, and fetching what is missing in a chain.

use std::time::Duration;

use becket_signature::KeyRequest;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};

/// How many certificates a chain may have.
const CHAIN_MAX: usize = 10;

/// Why a certificate is not trusted; the text is for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untrusted(pub String);

/// Checks the chain in an answer, the provider's own certificate first.
pub(crate) fn check_answer(
    request: &KeyRequest,
    answer: &[u8],
    roots: &RootCertStore,
    now_s: i64,
) -> Result<(), Untrusted> {
    let inside = request.key_in(answer);
    let inside = inside.ok_or_else(|| Untrusted("the answer has no certificate".to_owned()))?;
    check_chain(&chain(&inside)?, request.subject.is_some(), roots, now_s)
}

/// The certificates of a PEM text, or the one that the answer is.
fn chain(answer: &[u8]) -> Result<Vec<CertificateDer<'_>>, Untrusted> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(answer) {
        chain.push(certificate.map_err(|error| Untrusted(error.to_string()))?);
        if chain.len() > CHAIN_MAX {
            return Err(Untrusted(format!("it has more than {CHAIN_MAX} certificates")));
        }
    }
    if chain.is_empty() {
        chain.push(CertificateDer::from(answer));
    }
    Ok(chain)
}

fn check_chain(
    chain: &[CertificateDer<'_>],
    is_named: bool,
    roots: &RootCertStore,
    now_s: i64,
) -> Result<(), Untrusted> {
    let (own, intermediates) =
        chain.split_first().ok_or_else(|| Untrusted("the answer has no certificate".to_owned()))?;
    let why = |error: rustls::Error| Untrusted(error.to_string());
    let parsed = ParsedCertificate::try_from(own).map_err(why)?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now_s).unwrap_or(0)));
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let checked = verify_server_cert_signed_by_trust_anchor(
        &parsed,
        roots,
        intermediates,
        now,
        algorithms.all,
    );
    match checked {
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
            if intermediates.is_empty() && is_named =>
        {
            Ok(())
        }
        checked => checked.map_err(why),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
    };

    use super::*;

    /// Noon of 2026-06-01.
    const NOW_S: i64 = 1_780_315_200;

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        certificate: CertificateDer<'static>,
    }

    fn authority(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    fn issued(authority: &Authority, name: &str, last_year: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &authority.issuer).unwrap().der().clone()
    }

    fn roots(authority: &Authority) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        roots
    }

    #[test]
    fn a_chain_must_be_valid_and_end_at_a_known_authority() {
        let (known, stranger) = (authority("known"), authority("stranger"));
        let roots = roots(&known);
        let check = |chain: &[CertificateDer<'_>]| check_chain(chain, true, &roots, NOW_S).is_ok();
        let good = issued(&known, "signer.example.com", 2028);
        assert!(check(std::slice::from_ref(&good)));
        assert!(check(&[good, known.certificate.clone()]));
        assert!(!check(&[issued(&known, "signer.example.com", 2026)]), "it is over");
        let foreign = issued(&stranger, "signer.example.com", 2028);
        assert!(!check(&[foreign, stranger.certificate.clone()]));
        assert!(!check(&[]));
        assert!(!check(&[CertificateDer::from(vec![0x30, 0x00])]));
    }

    #[test]
    fn a_lone_certificate_of_an_unknown_authority_needs_a_name_in_the_entry() {
        let (known, stranger) = (authority("known"), authority("stranger"));
        let roots = roots(&known);
        let lone = [issued(&stranger, "signer.example.com", 2028)];
        assert!(check_chain(&lone, true, &roots, NOW_S).is_ok());
        assert!(check_chain(&lone, false, &roots, NOW_S).is_err());
    }

    #[test]
    fn an_answer_is_read_as_a_pem_chain_or_as_one_certificate() {
        let authority = authority("known");
        let (one, two) = (issued(&authority, "a.example.com", 2028), authority.certificate);
        let pem = |der: &CertificateDer<'_>| {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        };
        let text = pem(&one) + &pem(&two);
        assert_eq!(chain(&one).unwrap(), std::slice::from_ref(&one));
        assert_eq!(chain(text.as_bytes()).unwrap(), [one.clone(), two]);
        assert!(chain(pem(&one).repeat(CHAIN_MAX + 1).as_bytes()).is_err());
    }
}
