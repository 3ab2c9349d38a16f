//! Every sample event of every provider: it signs, our own verifier takes it, it says which event it is, and
//! no two requests have the same id. Every handshake that an entry has can be made and answered. What is
//! tampered with is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use becket_develop::trigger::{
    self, Change, Order, Prepared, Seed, Tamper, TriggerError, challenge, prepare, public_key_of,
};
use becket_signature::{
    Catalogue, Class, CredentialKind, Credentials, Digest, Entry, RequestView, Verifier,
    VerifierOptions,
};

const NOW_S: i64 = 1_795_000_000;
const URL: &str = "https://hooks.example.com/in/test";
/// Made for these tests; no library here makes RSA or P-384 keys.
const RSA: &str = "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDD0IWAunFyfwTaUhinI7H3txfzfxMBG/gcZ4C/beBcKm2VlvBD9UygM+mUMuAmkkWMYUtdrDS0KvE+Tn6AbZXgEBWpWiDRLRR9DbyssgNXUsq1VliFHvClyuXg7dFX67TibjiQN1uyg633g5Z4jJqVbgGzOS2lv5KCFBxBzH+aoss5YO1pUEvO4kgQfwKoVuYhGc2IpXYrHLIL3/cqOHXFLXi/7vG/hDgjKFklv1R163L53j3netZlfZB/UfkvJ4ErP7jfMPQ1xb0HQBkkmVnF2PHxStjNG2MmT+LZIxFFZptwQhrCunJjMJhqdL4RQYI8cZ7VIgtaK/mcif+hzYwtAgMBAAECggEABMs51xZmOR43278Ke5Fxsn9HXshDymSC83Hepcq2ZUmkbN1cLMaLjyXkm2KpRXoR9rdNQ+Uq1b9YY4T17vlGPYBMG3a8p3C7iyBqayFUWIKxhw6uwTTDwcQg7E8K/HFL+IaOXwxJgMPda81LQlCRtBDuCaAS4hD5o/9Pvfxxu+YiqRkUhoIEL+vPTL0ORaehpWHSCA2G9LgWXJxrrpgmJtmL9U8B1uJNjCDvxxRN3LVgJBLDAqzHoJg7MJBOct9uZAIdtRLQfcxAQnOyv2zvVwTxn9gOfRvEXNYmE3S7mEWfRAcKKnYGGlzB9zJL6frKpCy/+PHOJJH5W+jgii1YwQKBgQD6fAwVfIfeC+a8TKo06kgSsS0JQ7pqmfvnk+pYpIgfh4hVv+5rCvaWWh11rsVgad8LGIgYLmjPM5OT+U8CsdravZrRjlFIUzO0BtfGqkXzhc2XOWf1uW8aGhQRU4LOJPShAnV6GqzFXvgseAnNiBgzeg1XkZKdGWnphHC/L4Z5QQKBgQDIIE49+JVbCCB0ua6/ccoa3ELMF3uud2igTFLZWy+hp74CoAzqglWK/uModE6E/GXghVgMdZZxhv76gYNAhuBA4WKbAHhI2sDfKFG6o+zDLM/8CBcaxH4G0L/RO+jePx4BeS7LrDYlIfO2WOw129m5w1vCLc7vog+L88ci3zmL7QKBgBChMbAvf1m3ko8Hy/kNYNGU37eQvoybQoUiZdmSutLVDbEbt/l1Vd+vhestOj9nZ/51l3t7gUvYUcDuOVeldTE2i1PEThMuKu2V0reG0HQVewvCLOu8burdtl1cHQAQpgkWf7QmlzfXUUSqh4QUt/6a6M3ahVBWwphVSaL3xcbBAoGACgTcBew5BfqtLUrSfdEjjh6y1WbjkUN3IHdRuoH/K3erYpRCsUbfI3tJQhA4kh3Ut93VH6KPapWYlFABkyxtc7IU7q+iVftlpoZtOQvV4ZuPug1porRtnse6oq3+JYpBZU980UOI3mkJu3pOMRAVoWAvatRCROr3HkmREaTdS60CgYAv3qjTagf8DKYomIzBoKhEPrP2/kD8phdEcAc3cvR3UeoSxWEsl7g/7cUZqlWi2e5NgjLJCsaUZ32VVwHdl3hIXp44kH/6D7x4WxrkUkzjmX2td1ffUo2zF9mNLy6S1h08OLE/Fh2tgIF3IgoMqrKmGwOiwZha8RU5W302qQIaoA==";
const P384: &str = "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCHX30cWq+t2t5QSv3muBfAcXF+OR1xmDO2H1PE+B8ZLdoO8Vb7NIHCrKsyOBJWv5ihZANiAARuyBsJRFIcjQu/2THc2GzfZJguOdBr3i9xr3el+pF02eVRCV4bLQZ4/a5ru//FYr4RLVCsMJFMAzq2ill15oANRIh14d3JOWMgHQNgVADwxS+1JxrK1MpdLILIOQviRGw=";

/// A verifier of a new secret, as `becket trigger --new-secret` makes one, and its named credentials.
fn verifier(entry: &Arc<Entry>) -> (Verifier, BTreeMap<String, String>) {
    let class = entry.schemes.first().map(|scheme| scheme.class);
    let secret = match trigger::new_secret(entry, [7; 32]) {
        Ok(made) => made.secret,
        Err(TriggerError::Secret(_)) if class == Some(Class::EcdsaP384) => P384.to_owned(),
        Err(TriggerError::Secret(_)) => RSA.to_owned(),
        Err(error) => panic!("{}: {error}", entry.slug()),
    };
    let named: BTreeMap<String, String> = entry
        .credentials()
        .iter()
        .filter(|spec| spec.kind == CredentialKind::Named)
        .map(|spec| (spec.name.clone(), format!("our-{}", spec.name)))
        .collect();
    let public = public_key_of(entry, &secret).into_iter().collect();
    let credentials = Credentials::new(vec![secret], public, named.clone());
    let verifier = Verifier::new(Arc::clone(entry), &credentials, &VerifierOptions::default());
    (verifier.unwrap_or_else(|error| panic!("{}: {error}", entry.slug())), named)
}

fn entries() -> impl Iterator<Item = Arc<Entry>> {
    Catalogue::builtin().slugs().filter_map(|slug| Catalogue::builtin().get(slug))
}

fn seed(number: u8) -> Seed {
    [number; 32]
}

fn order<'a>(verifier: &'a Verifier, sample: &'a trigger::Sample) -> Order<'a> {
    Order {
        verifier,
        sample,
        changes: &[],
        headers: &[],
        delivery_id: None,
        url: URL,
        tamper: None,
        at_s: NOW_S,
    }
}

/// Entries that can be verified and not signed: SHA-1 over RSA and P-256.
fn cannot_be_signed(entry: &Entry) -> bool {
    entry.schemes.iter().any(|scheme| {
        matches!(scheme.class, Class::EcdsaP256 | Class::RsaPkcs1)
            && scheme.digest == Some(Digest::Sha1)
    })
}

/// Whether verification takes the request, with nothing known but what a receiver knows.
fn verify(verifier: &Verifier, request: &Prepared) -> &'static str {
    let headers = request.header_map().expect("headers that can be sent");
    let view = RequestView {
        method: &request.method,
        url: &request.url,
        headers: &headers,
        body: &request.body,
    };
    verifier.verify(&view, NOW_S).code()
}

#[test]
fn every_event_of_every_file_is_genuine_and_fresh() {
    let mut wrong = Vec::new();
    let mut events = 0;
    for slug in trigger::names() {
        let entry =
            Catalogue::builtin().get(slug).unwrap_or_else(|| panic!("no provider `{slug}`"));
        let (verifier, _) = verifier(&entry);
        let listed = trigger::listed(&entry).unwrap_or_else(|error| panic!("{error}"));
        let names: BTreeSet<&str> = listed.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names.len(), listed.len(), "{slug} has a name twice");
        let mut with_id = entry.delivery_id.is_none();
        for event in &listed {
            events += 1;
            let complain = |what: String| format!("{slug} {}: {what}", event.name);
            let sample = match trigger::sample(&entry, &event.name) {
                Ok(Some(sample)) => sample,
                other => {
                    wrong.push(complain(format!("{other:?}")));
                    continue;
                }
            };
            let made: Result<Vec<Prepared>, _> = [1, 1, 2]
                .map(|n| prepare(&order(&verifier, &sample), seed(n)))
                .into_iter()
                .collect();
            let made = match made {
                Ok(made) => made,
                Err(error) => {
                    wrong.push(complain(error.to_string()));
                    continue;
                }
            };
            if made[0].verdict != Some("genuine") || verify(&verifier, &made[0]) != "genuine" {
                wrong.push(complain(format!("{:?}", made[0].verdict)));
            }
            if made[0].event_type != event.event_type {
                wrong.push(complain(format!("the event type is {:?}", made[0].event_type)));
            }
            if !entry.schemes.iter().any(|scheme| scheme.class == Class::EcdsaP256)
                && made[0] != made[1]
            {
                wrong.push(complain("one seed makes two requests".to_owned()));
            }
            let id = |request: &Prepared| request.delivery_id.clone();
            // Some events of a provider have none; then at least the ids in them are others.
            let fresh = match id(&made[0]) {
                Some(first) => Some(first) != id(&made[2]),
                None => made[0].body != made[2].body,
            };
            with_id |= id(&made[0]).is_some();
            if !fresh {
                wrong.push(complain(format!("it is not fresh: {:?}", id(&made[0]))));
            }
            if event.about.is_empty() || !event.origin.starts_with("http") {
                wrong.push(complain(
                    "it does not say what it is and where it is described".to_owned(),
                ));
            }
        }
        if !with_id {
            wrong.push(format!("{slug}: no event has a delivery id"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{events} events of {} providers", trigger::names().count());
}

#[test]
fn every_provider_of_the_catalogue_has_something_to_send() {
    let mut wrong = Vec::new();
    for entry in entries().filter(|entry| !cannot_be_signed(entry)) {
        let (verifier, _) = verifier(&entry);
        let listed = trigger::listed(&entry).unwrap_or_else(|error| panic!("{error}"));
        let mut problems = Vec::new();
        let mut genuine = 0;
        for event in &listed {
            let sample = trigger::sample(&entry, &event.name).ok().flatten().expect("is listed");
            match prepare(&order(&verifier, &sample), seed(1)) {
                Ok(request) if request.verdict.is_none_or(|verdict| verdict == "genuine") => {
                    genuine += 1
                }
                Ok(request) => problems.push(format!("{:?}", request.verdict)),
                Err(error) => problems.push(error.to_string()),
            }
        }
        if genuine == 0 && !entry.samples().is_empty() {
            wrong.push(format!("{}: {problems:?}", entry.slug()));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_tampered_with_is_refused_or_said_to_be_unsigned() {
    let mut wrong = Vec::new();
    for slug in trigger::names() {
        let entry =
            Catalogue::builtin().get(slug).unwrap_or_else(|| panic!("no provider `{slug}`"));
        let (verifier, _) = verifier(&entry);
        let name = trigger::listed(&entry).unwrap_or_else(|e| panic!("{e}"))[0].name.clone();
        let sample = trigger::sample(&entry, &name).ok().flatten().expect("is listed");
        let has_time = entry.schemes.iter().any(|scheme| scheme.timestamp.is_some());
        for tamper in [Tamper::Body, Tamper::Signature, Tamper::Timestamp] {
            let spoilt =
                prepare(&Order { tamper: Some(tamper), ..order(&verifier, &sample) }, seed(3));
            let unsigned = match tamper {
                Tamper::Body => !entry.signs_body(),
                Tamper::Signature => false,
                Tamper::Timestamp => !has_time,
            };
            match spoilt {
                Ok(request) if verify(&verifier, &request) == "genuine" => {
                    wrong.push(format!("{slug}: {tamper:?} is still genuine"));
                }
                Ok(request) if tamper == Tamper::Timestamp && request.verdict != Some("stale") => {
                    wrong.push(format!("{slug}: old and {:?}", request.verdict));
                }
                Ok(_) => {}
                Err(TriggerError::Tamper(_)) if unsigned => {}
                Err(error) => wrong.push(format!("{slug}: {tamper:?}: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_handshake_can_be_made() {
    let mut wrong = Vec::new();
    let mut made = 0;
    for entry in entries() {
        let (verifier, named) = verifier(&entry);
        let sample = trigger::with_body(&entry, None, Vec::new(), "").expect("a sample");
        for rule in &entry.handshakes {
            match challenge(&order(&verifier, &sample), &named, Some(&rule.name), seed(1)) {
                Ok(challenge) => {
                    made += 1;
                    assert_eq!(challenge.expected.status, rule.respond.status, "{}", entry.slug());
                }
                // It would make the handler visit a real page.
                Err(_) if rule.visit.is_some() => {}
                Err(error) => wrong.push(format!("{}: {error}", entry.slug())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{made} handshakes");
}

#[test]
fn changes_are_signed_and_ids_given_are_kept() {
    let entry = Catalogue::builtin().get("telegram").expect("is there");
    let (verifier, _) = verifier(&entry);
    let sample = trigger::sample(&entry, "message").ok().flatten().expect("is there");
    let changes = [
        Change::set("message.text=hello").expect("parses"),
        Change::add("message.entities={\"type\":\"bold\"}").expect("parses"),
        Change::remove("message.from.language_code").expect("parses"),
    ];
    let headers = [("X-Extra".to_owned(), "1".to_owned())];
    let order = Order {
        changes: &changes,
        headers: &headers,
        delivery_id: Some("4711"),
        ..order(&verifier, &sample)
    };
    let request = prepare(&order, seed(1)).expect("is made");
    assert_eq!(request.verdict, Some("genuine"));
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(body["update_id"], 4711);
    assert_eq!(body["message"]["text"], "hello");
    assert_eq!(body["message"]["entities"][1]["type"], "bold");
    assert_eq!(body["message"]["from"].get("language_code"), None);
    assert!(request.headers.contains(&("x-extra".to_owned(), "1".to_owned())));
    assert_eq!(request.delivery_id.as_deref(), Some("4711"));
}

#[test]
fn unknown_names_have_neighbours() {
    let entry = Catalogue::builtin().get("telegram").expect("is there");
    assert!(trigger::sample(&entry, "mesage").expect("reads").is_none());
    assert_eq!(trigger::nearest(&entry, "mesage").expect("reads")[0], "message");
}
