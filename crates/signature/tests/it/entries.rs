//! What a wrong entry, parameter or credential is answered with.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_signature::{Catalogue, Credentials, Entry, Verifier, VerifierOptions};

const HEAD: &str = "slug = \"own\"\nname = \"Own\"\n";

fn error_of(text: &str) -> String {
    let error = Entry::from_toml(text).expect_err(text);
    format!("{}: {error}", error.code())
}

#[test]
fn wrong_entries_say_what_is_wrong() {
    let scheme = |text: &str| format!("{HEAD}[[scheme]]\n{text}\n");
    for (text, parts) in [
        (
            scheme("class = \"hmacc\""),
            vec!["entry_unreadable", "line 4", "unknown variant", "ecdsa-p256"],
        ),
        (scheme("class = \"none\"\ncolour = 1"), vec!["line 5", "unknown field `colour`"]),
        (scheme("class = \"hmac\"\nmessage = \"{bodi}\""), vec!["line 5", "`bodi` is no variable"]),
        (
            scheme("class = \"hmac\"\nkey = { transform = [\"base65\"] }"),
            vec!["`base65` is no key step"],
        ),
        (scheme("class = \"hmac\"\nsignature = { at = [] }"), vec!["the list is empty"]),
        (
            scheme("class = \"hmac\"\nsignature = { at = \"x-signature\" }"),
            vec!["is no variable", "header:NAME"],
        ),
        (
            scheme("class = \"hmac\"\ntimestamp = { at = \"header:a\", max_age_s = -1 }"),
            vec!["cannot be negative"],
        ),
        (
            scheme("class = \"hmac\"\ntimestamp = { at = \"header:a\", max_age_s = \"never\" }"),
            vec!["unchecked"],
        ),
        (HEAD.to_owned(), vec!["entry_inconsistent", "no `[[scheme]]`"]),
        ("slug = \"A B\"\nname = \"x\"\n".to_owned(), vec!["`slug` must be"]),
        (
            scheme("class = \"hmac\"\nsignature = { at = \"header:a\" }"),
            vec!["`digest` is missing"],
        ),
        (scheme("class = \"hmac\"\ndigest = \"sha256\""), vec!["`signature` is missing"]),
        (
            scheme("class = \"token\"\ndigest = \"sha256\"\nsignature = { at = \"header:a\" }"),
            vec!["no meaning for token"],
        ),
        (
            scheme("class = \"hash\"\ndigest = \"sha256\"\nsignature = { at = \"header:a\" }"),
            vec!["{secret}"],
        ),
        (
            scheme(
                "class = \"hmac\"\ndigest = \"sha256\"\nmessage = \"{ts}{body}\"\nsignature = { at = \"header:a\" }",
            ),
            vec!["no `timestamp`"],
        ),
        (
            scheme(
                "class = \"hmac\"\ndigest = \"sha256\"\nsignature = { at = \"header:a\" }\ntimestamp = { at = \"header:t\" }",
            ),
            vec!["anybody could renew it"],
        ),
        (
            scheme(
                "class = \"hmac\"\ndigest = \"sha256\"\nmessage = \"{field:t}{body}\"\nsignature = { at = \"header:a\" }",
            ),
            vec!["`field:` needs"],
        ),
        (
            scheme(
                "class = \"hmac\"\ndigest = \"sha256\"\nsignature = { at = \"header:a\", split = { items = \"\" } }",
            ),
            vec!["separator"],
        ),
        (
            format!("{HEAD}failure_status = 200\n[[scheme]]\nclass = \"none\"\n"),
            vec!["`failure_status`"],
        ),
        (
            format!("{HEAD}ack = {{ status = 302 }}\n[[scheme]]\nclass = \"none\"\n"),
            vec!["`ack.status`"],
        ),
        (
            scheme(
                "class = \"none\"\n[[handshake]]\nname = \"h\"\nverify_first = false\nwhen = [{ at = \"query:a\", present = true }]\nrespond = { body = \"{hmac_hex(query:a)}\" }",
            ),
            vec!["without `verify_first`"],
        ),
        (
            scheme(
                "class = \"none\"\n[[handshake]]\nname = \"h\"\nverify_first = false\nwhen = []\nrespond = {}",
            ),
            vec!["every request would be answered"],
        ),
    ] {
        let error = error_of(&text);
        for part in parts {
            assert!(error.contains(part), "{text}\n=> {error}\nlacks {part}");
        }
    }
}

/// The same for everything that is not a plain signature in a header.
#[test]
fn wrong_entries_of_the_rarer_kinds() {
    let scheme = |text: &str| format!("{HEAD}[[scheme]]\n{text}\n");
    let hmac = |text: &str| scheme(&format!("class = \"hmac\"\ndigest = \"sha256\"\n{text}"));
    let sign = "signature = { at = \"header:a\" }";
    for (text, part) in [
        (format!("{HEAD}proof = \"sdk\"\n[[scheme]]\nclass = \"none\"\n"), "unless `status` is"),
        (
            format!(
                "{HEAD}status = \"proven\"\nproof = \"shared\"\n[[scheme]]\nclass = \"none\"\n"
            ),
            "needs `like`",
        ),
        (scheme(&format!("class = \"jwt\"\n{sign}")), "pin the algorithms"),
        (scheme(&format!("class = \"jwt\"\n{sign}\njwt = {{ algorithms = [] }}")), "is empty"),
        (
            scheme(&format!("class = \"jwt\"\n{sign}\njwt = {{ algorithms = [\"none\"] }}")),
            "unknown variant `none`",
        ),
        (hmac(&format!("{sign}\njwt = {{ algorithms = [\"HS256\"] }}")), "no meaning for hmac"),
        (hmac(&format!("message = \"{{built}}\"\n{sign}")), "no `[scheme.build]`"),
        (
            hmac(&format!(
                "{sign}\nbuild = {{ kind = \"json\", from = \"body\", style = \"jcs\" }}"
            )),
            "unless `message` contains {built}",
        ),
        (
            hmac(
                "signature = { at = \"header:a\", split = { items = \",\", pair = \":\", columns = [\"a\", \"b\"], wanted = \"c\" } }",
            ),
            "none of `split.columns`",
        ),
        (
            hmac("signature = { at = \"header:a\", split = { positions = [\"ts\"] } }"),
            "needs `items`",
        ),
        (
            hmac(&format!(
                "{sign}\n[scheme.public_key.fetch]\nurl = \"https://a.example/k\"\nformat = \"jwks\""
            )),
            "`public_key.fetch` has no meaning",
        ),
        (
            scheme(&format!(
                "class = \"ed25519\"\n{sign}\n[scheme.public_key.fetch]\nurl = \"{{header:k}}\"\nformat = \"key\""
            )),
            "hosts",
        ),
        (
            scheme(&format!("class = \"ecdsa-p256\"\ndigest = \"md5\"\n{sign}")),
            "ecdsa-p256 with md5 is not supported",
        ),
        (
            scheme(
                "class = \"none\"\n[[handshake]]\nname = \"h\"\nwhen = [{ at = \"json:u\", present = true }]\nrespond = {}\nvisit = { url = \"json:u\", hosts = [\"a.example\"] }",
            ),
            "`visit` needs `verify_first`",
        ),
        (
            scheme(
                "class = \"none\"\n[[handshake]]\nname = \"h\"\nverify_first = true\nwhen = [{ at = \"json:u\", present = true }]\nrespond = {}\nvisit = { url = \"json:u\", hosts = [\"*\"] }",
            ),
            "`visit.hosts`",
        ),
    ] {
        let error = error_of(&text);
        assert!(error.contains(part), "{text}\n=> {error}\nlacks {part}");
    }
}

fn verifier(slug: &str, credentials: &Credentials) -> Result<Verifier, String> {
    let entry = Catalogue::builtin().get(slug).expect("is listed");
    Verifier::new(entry, credentials, &VerifierOptions::default())
        .map_err(|error| format!("{}: {error}", error.code()))
}

#[test]
fn wrong_credentials_are_named_and_not_shown() {
    for (slug, secrets, keys, part) in [
        ("github", vec!["ok", ""], vec![], "secret 2: it is empty"),
        ("standardwebhooks", vec!["whsec_!!!!"], vec![], "secret 1: it is not base64"),
        ("standardwebhooks", vec!["whsec_"], vec![], "nothing is left"),
        ("discord", vec![], vec!["abcd"], "public key 1: it is not an Ed25519 key"),
        (
            "discord",
            vec![],
            vec!["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
            "a certificate",
        ),
        ("sendgrid", vec![], vec!["{\"kty\":\"RSA\"}"], "holds no key for ecdsa-p256"),
    ] {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let credentials = Credentials::new(owned(&secrets), owned(&keys), BTreeMap::new());
        let error = verifier(slug, &credentials).expect_err(slug);
        assert!(error.contains(part), "{slug}: {error}");
        assert!(error.starts_with("credential_unusable"), "{error}");
        assert!(!error.contains("!!!!") && !error.contains("abcd"), "{error}");
    }
    let credentials = Credentials::from_secrets(["hunter2"]);
    let shown = format!("{credentials:?} {:?}", verifier("github", &credentials).expect("fits"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn parameters_are_checked_like_entries() {
    let entry = Catalogue::builtin().get("hmac").expect("is listed");
    let with = |pairs: &[(&str, &str)]| {
        let values =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        entry.with_parameters(&values).map(Arc::new).map_err(|error| error.to_string())
    };
    assert!(with(&[("encoding", "base64"), ("header", "X-Sig")]).is_ok());
    for (pairs, part) in [
        (vec![("colour", "red")], "there are algorithm, at, delivery_id"),
        (vec![("algorithm", "md4")], "unknown variant"),
        (vec![("max_age_s", "soon")], "no whole number"),
        (vec![("max_age_s", "10")], "missing field `at`"),
        (vec![("timestamp_header", "x-time")], "anybody could renew it"),
        (vec![("header", "x y")], "no header name"),
    ] {
        let error = with(&pairs).expect_err("is wrong");
        assert!(error.contains(part), "{pairs:?}: {error}");
    }
}

#[test]
fn verifiers_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Verifier>();
    shared::<&'static Catalogue>();
    shared::<becket_signature::standard_webhooks::SigningKey>();
}

#[test]
fn every_file_of_the_catalogue_is_built_in() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue");
    let files = std::fs::read_dir(folder).expect("the catalogue is beside the crates");
    let mut on_disk: Vec<String> = files
        .map(|file| file.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    on_disk.sort();
    let built_in: Vec<&str> = Catalogue::builtin().slugs().collect();
    assert_eq!(built_in, on_disk, "`touch crates/signature/build.rs` takes new entries in");
}
