//! The certificate that senders see.

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Finding;

/// Renewals by ACME happen a month before the end; at two weeks something has gone wrong.
const SOON_DAYS: i64 = 14;
const VERY_SOON_DAYS: i64 = 3;
const DAY_S: i64 = 86_400;

/// Judges the certificates of a verified handshake, the server's own first.
#[must_use]
pub fn judge(check: &'static str, chain: &[&[u8]], version: &str, now_s: i64) -> Finding {
    let Some(first) = chain.first() else {
        return Finding::skipped(check, "no certificate was shown");
    };
    let Ok((_, certificate)) = X509Certificate::from_der(first) else {
        return Finding::problem(check, "the certificate cannot be read")
            .advise("replace it: senders may refuse it");
    };
    let left_s = certificate.validity().not_after.timestamp() - now_s;
    let days = left_s.div_euclid(DAY_S);
    let life_s = certificate.validity().not_after.timestamp()
        - certificate.validity().not_before.timestamp();
    // Certificates that live for days are renewed within days.
    let soon_days = SOON_DAYS.min(life_s / DAY_S / 4);
    let issuer = issuer_of(&certificate);
    let says = format!("TLS {version}, {days} days left, by {issuer}");
    if days < VERY_SOON_DAYS.min(soon_days) {
        return Finding::problem(check, says)
            .advise("renew it now; [server.acme] renews by itself, [server.tls] is read again when its files change");
    }
    if days < soon_days {
        return Finding::warning(check, says)
            .advise("renew it, and see why that did not happen by itself");
    }
    Finding::fine(check, says)
}

fn issuer_of(certificate: &X509Certificate<'_>) -> String {
    let issuer = certificate.issuer();
    let organisation = issuer.iter_organization().next().and_then(|name| name.as_str().ok());
    let common = issuer.iter_common_name().next().and_then(|name| name.as_str().ok());
    organisation.or(common).unwrap_or("an issuer without a name").to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_days_that_are_left_decide() {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 4, 1);
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Our Authority");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let end_s = 1_775_001_600;
        for (days, level) in [
            (89, Level::Fine),
            (14, Level::Fine),
            (13, Level::Warning),
            (2, Level::Problem),
            (-1, Level::Problem),
        ] {
            let finding = judge("tls", &[certificate.der()], "1.3", end_s - days * DAY_S);
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(
                finding.says.contains(&format!("{days} days left, by Our Authority")),
                "{finding:?}"
            );
        }
        assert_eq!(judge("tls", &[], "1.3", 0).level, Level::Skipped);
        assert_eq!(judge("tls", &[b"x"], "1.3", 0).level, Level::Problem);
    }
}
