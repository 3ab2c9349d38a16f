//! What verifying costs: `cargo run --release -p becket-signature --example verify_cost`.
//!
//! Prints nanoseconds per call for a body of 1 KiB, what of it is beyond the bare HMAC-SHA256 of the same bytes
//! (the overhead), and the time to read entries, which is what the catalogue adds to starting.

use std::hint::black_box;
use std::time::Instant;

use becket_signature::{
    Catalogue, Credentials, Entry, RequestView, SignRequest, Verifier, VerifierOptions,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const NOW: i64 = 1_767_225_600;
const ROUNDS: u32 = 200_000;

fn main() {
    let text = Catalogue::builtin().text("github").unwrap_or_default();
    let started = Instant::now();
    black_box(Entry::from_toml(text).is_ok());
    println!("read the github entry      {:>9.1} us", micros(started));
    let started = Instant::now();
    let count = Catalogue::builtin().list().len();
    println!("read all {count} entries        {:>9.1} us", micros(started));

    let body =
        serde_json::json!({ "ref": "refs/heads/main", "padding": "x".repeat(984) }).to_string();
    println!("body of {} bytes", body.len());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret");
    let started = Instant::now();
    for _ in 0..ROUNDS {
        black_box(ring::hmac::sign(&key, black_box(body.as_bytes())));
    }
    let bare_ns = each_ns(started);
    println!("{:<26} {bare_ns:>9.0} ns", "bare HMAC-SHA256");
    for (slug, secrets) in [
        ("github", vec!["secret"]),
        ("github", vec!["older", "secret"]),
        ("stripe", vec!["whsec_secret"]),
        ("standardwebhooks", vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
        ("twilio", vec!["secret"]),
    ] {
        cost(slug, &secrets, body.as_bytes(), bare_ns);
    }
}

fn cost(slug: &str, secrets: &[&str], body: &[u8], bare_ns: f64) {
    let Some(entry) = Catalogue::builtin().get(slug) else {
        println!("{slug} is not in the catalogue");
        return;
    };
    let credentials = Credentials::from_secrets(secrets.iter().copied());
    let signing = Credentials::from_secrets(secrets.last().copied());
    let options = VerifierOptions::default();
    let request = SignRequest {
        method: "POST",
        url: "https://hooks.example.com/in/src",
        body,
        content_type: "application/json",
        event_type: Some("push"),
        delivery_id: None,
    };
    let made = Verifier::new(entry.clone(), &credentials, &options)
        .and_then(|verifier| Ok((verifier, Verifier::new(entry, &signing, &options)?)));
    let (verifier, signer) = match made {
        Ok(pair) => pair,
        Err(error) => return println!("{slug}: {error}"),
    };
    let signed = match signer.sign(&request, NOW) {
        Ok(signed) => signed,
        Err(error) => return println!("{slug}: {error}"),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &signed.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    let view =
        RequestView { method: "POST", url: &signed.url, headers: &headers, body: &signed.body };
    if !verifier.verify(&view, NOW).is_genuine() {
        return println!("{slug}: the signed request does not verify");
    }
    let started = Instant::now();
    for _ in 0..ROUNDS {
        black_box(verifier.verify(black_box(&view), NOW));
    }
    let ns = each_ns(started);
    let what = format!("{slug}, {} secret(s)", secrets.len());
    println!("{what:<26} {ns:>9.0} ns, overhead {:>6.0} ns", ns - bare_ns * secrets.len() as f64);
}

fn micros(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e6
}

fn each_ns(started: Instant) -> f64 {
    micros(started) * 1e3 / f64::from(ROUNDS)
}
