//! Keys of every kind, made for these tests alone, so that every entry can be signed and verified.

use std::sync::Arc;

use becket_signature::{
    Class, CredentialKind, Credentials, Entry, Scheme, Verifier, VerifierOptions,
};

// RFC 8032, section 7.1, test 1; the others were made for these tests.
pub const ED25519_SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
pub const ED25519_PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const P256_PRIVATE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/T+GFl/PBpjzJzPfm614ROIxXo3aUJaWUtdZTZP59yGhRANCAATDQg2c/1LXLWeKG0UXltO+NvWaOFSU/8sSfiCrxOQLsdowq7191UcHFmVvFP3sm0O+jhyt8Je2AlWF1dRf4PRX";
const P256_PUBLIC: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEw0INnP9S1y1nihtFF5bTvjb1mjhUlP/LEn4gq8TkC7HaMKu9fdVHBxZlbxT97JtDvo4crfCXtgJVhdXUX+D0Vw==";
const RSA_PRIVATE: &str = "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDD0IWAunFyfwTaUhinI7H3txfzfxMBG/gcZ4C/beBcKm2VlvBD9UygM+mUMuAmkkWMYUtdrDS0KvE+Tn6AbZXgEBWpWiDRLRR9DbyssgNXUsq1VliFHvClyuXg7dFX67TibjiQN1uyg633g5Z4jJqVbgGzOS2lv5KCFBxBzH+aoss5YO1pUEvO4kgQfwKoVuYhGc2IpXYrHLIL3/cqOHXFLXi/7vG/hDgjKFklv1R163L53j3netZlfZB/UfkvJ4ErP7jfMPQ1xb0HQBkkmVnF2PHxStjNG2MmT+LZIxFFZptwQhrCunJjMJhqdL4RQYI8cZ7VIgtaK/mcif+hzYwtAgMBAAECggEABMs51xZmOR43278Ke5Fxsn9HXshDymSC83Hepcq2ZUmkbN1cLMaLjyXkm2KpRXoR9rdNQ+Uq1b9YY4T17vlGPYBMG3a8p3C7iyBqayFUWIKxhw6uwTTDwcQg7E8K/HFL+IaOXwxJgMPda81LQlCRtBDuCaAS4hD5o/9Pvfxxu+YiqRkUhoIEL+vPTL0ORaehpWHSCA2G9LgWXJxrrpgmJtmL9U8B1uJNjCDvxxRN3LVgJBLDAqzHoJg7MJBOct9uZAIdtRLQfcxAQnOyv2zvVwTxn9gOfRvEXNYmE3S7mEWfRAcKKnYGGlzB9zJL6frKpCy/+PHOJJH5W+jgii1YwQKBgQD6fAwVfIfeC+a8TKo06kgSsS0JQ7pqmfvnk+pYpIgfh4hVv+5rCvaWWh11rsVgad8LGIgYLmjPM5OT+U8CsdravZrRjlFIUzO0BtfGqkXzhc2XOWf1uW8aGhQRU4LOJPShAnV6GqzFXvgseAnNiBgzeg1XkZKdGWnphHC/L4Z5QQKBgQDIIE49+JVbCCB0ua6/ccoa3ELMF3uud2igTFLZWy+hp74CoAzqglWK/uModE6E/GXghVgMdZZxhv76gYNAhuBA4WKbAHhI2sDfKFG6o+zDLM/8CBcaxH4G0L/RO+jePx4BeS7LrDYlIfO2WOw129m5w1vCLc7vog+L88ci3zmL7QKBgBChMbAvf1m3ko8Hy/kNYNGU37eQvoybQoUiZdmSutLVDbEbt/l1Vd+vhestOj9nZ/51l3t7gUvYUcDuOVeldTE2i1PEThMuKu2V0reG0HQVewvCLOu8burdtl1cHQAQpgkWf7QmlzfXUUSqh4QUt/6a6M3ahVBWwphVSaL3xcbBAoGACgTcBew5BfqtLUrSfdEjjh6y1WbjkUN3IHdRuoH/K3erYpRCsUbfI3tJQhA4kh3Ut93VH6KPapWYlFABkyxtc7IU7q+iVftlpoZtOQvV4ZuPug1porRtnse6oq3+JYpBZU980UOI3mkJu3pOMRAVoWAvatRCROr3HkmREaTdS60CgYAv3qjTagf8DKYomIzBoKhEPrP2/kD8phdEcAc3cvR3UeoSxWEsl7g/7cUZqlWi2e5NgjLJCsaUZ32VVwHdl3hIXp44kH/6D7x4WxrkUkzjmX2td1ffUo2zF9mNLy6S1h08OLE/Fh2tgIF3IgoMqrKmGwOiwZha8RU5W302qQIaoA==";
const RSA_PUBLIC: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAw9CFgLpxcn8E2lIYpyOx97cX838TARv4HGeAv23gXCptlZbwQ/VMoDPplDLgJpJFjGFLXaw0tCrxPk5+gG2V4BAVqVog0S0UfQ28rLIDV1LKtVZYhR7wpcrl4O3RV+u04m44kDdbsoOt94OWeIyalW4Bszktpb+SghQcQcx/mqLLOWDtaVBLzuJIEH8CqFbmIRnNiKV2KxyyC9/3Kjh1xS14v+7xv4Q4IyhZJb9Udety+d4953rWZX2Qf1H5LyeBKz+43zD0NcW9B0AZJJlZxdjx8UrYzRtjJk/i2SMRRWabcEIawrpyYzCYanS+EUGCPHGe1SILWiv5nIn/oc2MLQIDAQAB";
const P384_PRIVATE: &str = "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCHX30cWq+t2t5QSv3muBfAcXF+OR1xmDO2H1PE+B8ZLdoO8Vb7NIHCrKsyOBJWv5ihZANiAARuyBsJRFIcjQu/2THc2GzfZJguOdBr3i9xr3el+pF02eVRCV4bLQZ4/a5ru//FYr4RLVCsMJFMAzq2ill15oANRIh14d3JOWMgHQNgVADwxS+1JxrK1MpdLILIOQviRGw=";
const P384_PUBLIC: &str = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEbsgbCURSHI0Lv9kx3Nhs32SYLjnQa94vca93pfqRdNnlUQleGy0GeP2ua7v/xWK+ES1QrDCRTAM6topZdeaADUSIdeHdyTljIB0DYFQA8MUvtScaytTKXSyCyDkL4kRs";
/// Readable as text, as hexadecimal and as base64.
const SECRET: &str = "a3f1c2d4e5b6978812345678deadbeefa3f1c2d4e5b6978812345678deadbeef";

/// What signs for a scheme, and the public key that verifies it if there is one.
fn pair(scheme: Option<&Scheme>) -> (&'static str, Option<&'static str>) {
    let Some(scheme) = scheme else {
        return (SECRET, None);
    };
    let algorithm = scheme.jwt.as_ref().and_then(|spec| spec.algorithms.first());
    match (scheme.class, algorithm.map(|name| name.name())) {
        (Class::Ed25519, _) | (_, Some("EdDSA")) => (ED25519_SEED, Some(ED25519_PUBLIC)),
        (Class::EcdsaP256, _) | (_, Some("ES256")) => (P256_PRIVATE, Some(P256_PUBLIC)),
        (Class::EcdsaP384, _) | (_, Some("ES384")) => (P384_PRIVATE, Some(P384_PUBLIC)),
        (Class::RsaPkcs1 | Class::RsaPss, _) => (RSA_PRIVATE, Some(RSA_PUBLIC)),
        (_, Some(name)) if !name.starts_with('H') => (RSA_PRIVATE, Some(RSA_PUBLIC)),
        _ => (SECRET, None),
    }
}

/// A verifier that can also sign, with the keys that the entry's first scheme needs.
pub fn verifier(entry: &Arc<Entry>) -> Verifier {
    let (secret, public) = pair(entry.schemes.first());
    let named = entry
        .credentials()
        .iter()
        .filter(|spec| spec.kind == CredentialKind::Named)
        .map(|spec| (spec.name.clone(), format!("our-{}", spec.name)))
        .collect();
    let credentials = Credentials::new(
        vec![secret.to_owned()],
        public.map(str::to_owned).into_iter().collect(),
        named,
    );
    Verifier::new(Arc::clone(entry), &credentials, &VerifierOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", entry.slug()))
}
