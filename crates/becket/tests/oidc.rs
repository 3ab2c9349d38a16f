//! Signing in at an OpenID Connect provider: against an implementation that is not ours, and against
//! a scripted one that lies.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use support::browser::{Browser, parameter, parts};
use support::gateway::Place;
use support::provider::{Authority, Provider, told};
use support::{free_port, repository, wait_until};

const SELF: &str = "/api/v1/becket/self";
const START: &str = "/api/v1/becket/oidc/start";
const CALLBACK: &str = "/api/v1/becket/oidc/callback";
const SECRET: &str = "the-client-secret-of-these-tests";

/// The other implementation; it ends with the test.
struct Other {
    child: Child,
    port: u16,
}

impl Other {
    fn start(place: &Place) -> Self {
        let modules = repository().join("clients/node/node_modules/oidc-provider");
        assert!(modules.exists(), "oidc-provider is not installed; run `make setup`");
        let port = free_port();
        let settings = json!({
            "port": port, "clientId": "becket", "clientSecret": SECRET,
            "redirectUrl": format!("http://{}{CALLBACK}", place.address),
        });
        let mut child = Command::new("node")
            .arg(repository().join("clients/node/oidc.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node can be started");
        let stdin = child.stdin.as_mut().expect("its input is a pipe");
        writeln!(stdin, "{settings}").expect("it reads");
        let output = child.stdout.take().expect("its output is a pipe");
        let mut lines = BufReader::new(output).lines();
        let ready = lines.any(|line| line.is_ok_and(|line| line == "ready"));
        assert!(ready, "the provider does not start");
        // It has more to say, and would end if nobody listened.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }

    fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Who signs in from now on.
    fn is(&self, account: &str) {
        let answer = Browser::default()
            .get(([127, 0, 0, 1], self.port).into(), &format!("/as?account={account}"));
        assert_eq!(answer.status, 200);
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn section(issuer: &str, grants: &str) -> String {
    format!(
        "[oidc]\nissuer = \"{issuer}\"\nclient_id = \"becket\"\nclient_secret = \"{SECRET}\"\nname = \"Example\"\nscopes = [\"openid\", \"profile\", \"email\", \"groups\"]\n{grants}"
    )
}

const GRANTS: &str = "[[oidc.grant]]\ngroup = \"ops\"\nrole = \"admin\"\n[[oidc.grant]]\nemail_domain = \"example.org\"\nrole = \"viewer\"\n[[oidc.grant]]\nemail = \"ann@example.com\"\nrole = \"viewer\"\n";

#[test]
fn people_sign_in_at_another_implementation() {
    let place = Place::new();
    let other = Other::start(&place);
    place.configure("", &place.data(), "", &section(&other.issuer(), GRANTS));
    let gateway = place.start();
    let at = place.address;
    let ways = Browser::default().get(at, "/api/v1/becket/sign-in").json();
    assert_eq!(ways["oidc"], json!({ "name": "Example", "startUrl": START }), "{ways}");
    let start = format!("http://{at}{START}?return=/events%3Fsource%3Da");
    // Ann is an admin by her group, Bob a viewer by his address, Eve has somebody else's, unverified.
    for (account, role, name) in
        [("ann", "admin", "Ann Operator"), ("bob", "viewer", "Bob Builder")]
    {
        other.is(account);
        let mut browser = Browser::default();
        let (end, answer) = browser.follow(&start, at);
        assert_eq!(end, format!("http://{at}/events?source=a"), "{}", place.log_tail());
        assert_eq!(answer.status, 303);
        let cookies: Vec<&str> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .map(|(_, value)| value.as_str())
            .collect();
        assert!(cookies[0].contains("; HttpOnly; SameSite=Strict"), "{cookies:?}");
        assert!(browser.cookie(at, "becket-sign-in").is_none(), "what was begun is over");
        let me = browser.get(at, SELF).json();
        assert_eq!((&me["role"], &me["name"]), (&json!(role), &json!(name)), "{me}");
        assert_eq!((&me["operator"], &me["session"]), (&json!(false), &json!(true)), "{me}");
        assert_eq!(me["payloads"], json!(role == "admin"), "{me}");
    }
    other.is("eve");
    let (end, _) = Browser::default().follow(&start, at);
    assert_eq!(end, format!("http://{at}/?problem=sign_in_refused"));
    other.is("");
    let (end, _) = Browser::default().follow(&start, at);
    assert_eq!(end, format!("http://{at}/?problem=sign_in_cancelled"));

    // What was brought back once is worth nothing a second time.
    other.is("ann");
    let mut browser = Browser::default();
    let first = browser.get(at, START);
    let under_way = browser.cookie(at, "becket-sign-in").expect("it is under way").to_owned();
    let mut back = first.header("location").expect("a redirect").to_owned();
    while !back.contains(CALLBACK) {
        let (host, path) = parts(&back);
        let answer = browser.get(host, &path);
        let to = answer.header("location").expect("a redirect");
        back = if to.starts_with('/') { format!("http://{host}{to}") } else { to.to_owned() };
    }
    let (_, path) = parts(&back);
    let mut thief = Browser::default();
    let answer = thief.get(at, &path);
    assert_eq!(answer.header("location"), Some("/?problem=sign_in_lost"), "another browser");
    let answer = browser.get(at, &path);
    assert_eq!(answer.header("location"), Some("/"));
    browser.keep(at, "becket-sign-in", &under_way);
    let answer = browser.get(at, &path);
    assert_eq!(answer.header("location"), Some("/?problem=sign_in_lost"), "a second time");

    // Other rules end the sessions that were made by the old ones.
    assert_eq!(browser.get(at, SELF).status, 200);
    place.configure("", &place.data(), "", &section(&other.issuer(), ""));
    let over = wait_until(Duration::from_secs(10), || browser.get(at, SELF).status == 401);
    assert!(over, "{}", place.log_tail());
    let (end, _) = Browser::default().follow(&start, at);
    assert_eq!(end, format!("http://{at}/?problem=sign_in_refused"), "nobody without a grant");
    let log = gateway.api("GET", "/api/v1/becket/audit?action=session.begun");
    let detail = log["data"][0]["detail"].as_str().unwrap_or_default();
    assert_eq!(detail, "by Example, subject ann", "{log}");
    for secret in [SECRET, parameter(&back, "code").as_str(), under_way.as_str()] {
        assert!(!place.log().contains(secret), "a secret is in the log");
    }
    gateway.stop();
}

/// Signs what a test wants to be signed.
struct Signer {
    key: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let noise = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &noise).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &noise).expect("a key");
        Self { key }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": "one",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    }

    fn token(&self, claims: &Value) -> String {
        let text = unsigned(&json!({ "alg": "ES256", "kid": "one" }), claims);
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).expect("it signs");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn shared(secret: &[u8], claims: &Value) -> String {
    let text = unsigned(&json!({ "alg": "HS256", "kid": "one" }), claims);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[expect(clippy::disallowed_methods, reason = "the gateway under test lives in real time")]
fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("before the end of time")
}

/// What the scripted provider does.
#[derive(Default)]
struct Script {
    token: String,
    issuer: Option<String>,
}

struct Scripted {
    place: Place,
    provider: Provider,
    signer: Signer,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    fn new() -> Self {
        let (authority, place, signer) = (Authority::new(), Place::new(), Signer::new());
        let script: Arc<Mutex<Script>> = Arc::default();
        let provider = Provider::start(&authority, |_| told("{}"));
        let issuer = format!("https://{}", provider.address);
        let (scripted, keys) = (Arc::clone(&script), json!({ "keys": [signer.jwk()] }));
        let base = issuer.clone();
        provider.behave(move |asked| {
            let script = scripted.lock().expect("nobody panicked");
            match asked.path.split('?').next().unwrap_or_default() {
                "/.well-known/openid-configuration" => told(
                    json!({
                        "issuer": script.issuer.as_ref().unwrap_or(&base),
                        "authorization_endpoint": format!("{base}/authorize"),
                        "token_endpoint": format!("{base}/token"),
                        "jwks_uri": format!("{base}/keys"),
                    })
                    .to_string(),
                ),
                "/keys" => told(keys.to_string()),
                "/token" => told(json!({ "id_token": script.token }).to_string()),
                _ => (404, String::new(), String::new()),
            }
        });
        let file = authority.write(&place.folder);
        let egress = format!("[egress]\nca_file = \"{}\"\n", file.display());
        let grant = "[[oidc.grant]]\ngroup = \"ops\"\nrole = \"developer\"\n";
        let rest = format!("{egress}{}", section(&issuer, grant));
        place.configure("", &place.data(), "", &rest);
        Self { place, provider, signer, script }
    }

    /// Signs in; `make` makes the token from good claims. Where the browser ends.
    fn sign_in(&self, make: impl FnOnce(Value) -> String) -> String {
        let (mut browser, at) = (Browser::default(), self.place.address);
        let answer = browser.get(at, START);
        let to = answer.header("location").expect("a redirect").to_owned();
        assert!(to.starts_with(&format!("https://{}/authorize?", self.provider.address)), "{to}");
        let good = json!({
            "iss": format!("https://{}", self.provider.address), "aud": "becket", "sub": "1",
            "exp": now_s() + 300, "iat": now_s(), "nonce": parameter(&to, "nonce"),
            "groups": ["ops"], "name": "Mallory",
        });
        self.script.lock().expect("nobody panicked").token = make(good);
        let path = format!("{CALLBACK}?code=c&state={}", parameter(&to, "state"));
        let answer = browser.get(at, &path);
        let end = answer.header("location").expect("a redirect").to_owned();
        let signed_in = browser.get(at, SELF).status == 200;
        assert_eq!(signed_in, end == "/", "{end}");
        end
    }
}

#[test]
fn a_provider_that_lies_lets_nobody_in() {
    let scripted = Scripted::new();
    let gateway = scripted.place.start();
    let signer = &scripted.signer;
    let with = |name: &'static str, value: Value| {
        move |mut claims: Value| {
            claims[name] = value;
            signer.token(&claims)
        }
    };
    assert_eq!(scripted.sign_in(|claims| signer.token(&claims)), "/", "a good one is let in");
    let unproven = "/?problem=sign_in_unproven";
    let public = signer.jwk().to_string();
    let other = Signer::new();
    type Make<'m> = Box<dyn FnOnce(Value) -> String + 'm>;
    let cases: Vec<(&str, Make<'_>)> = vec![
        ("nonce", Box::new(with("nonce", json!("another")))),
        ("audience", Box::new(with("aud", json!("another")))),
        ("audiences", Box::new(with("aud", json!(["becket", "another"])))),
        ("party", Box::new(with("azp", json!("another")))),
        ("issuer", Box::new(with("iss", json!("https://evil.example.com")))),
        ("expired", Box::new(with("exp", json!(now_s() - 120)))),
        ("old", Box::new(with("iat", json!(now_s() - 3_600)))),
        ("future", Box::new(with("iat", json!(now_s() + 3_600)))),
        ("another key", Box::new(|claims| other.token(&claims))),
        ("none", Box::new(|claims| format!("{}.", unsigned(&json!({ "alg": "none" }), &claims)))),
        (
            "none with a signature",
            Box::new(|claims| format!("{}.AAAA", unsigned(&json!({ "alg": "none" }), &claims))),
        ),
        ("the public key as a secret", Box::new(|claims| shared(public.as_bytes(), &claims))),
        ("the client's secret", Box::new(|claims| shared(SECRET.as_bytes(), &claims))),
        ("the client's name", Box::new(|claims| shared(b"becket", &claims))),
        (
            "tampered",
            Box::new(|mut claims| {
                let token = signer.token(&claims);
                claims["sub"] = json!("2");
                let (_, signature) = token.rsplit_once('.').expect("three parts");
                let header = json!({ "alg": "ES256", "kid": "one" });
                format!("{}.{signature}", unsigned(&header, &claims))
            }),
        ),
        ("no token", Box::new(|_| "no token".to_owned())),
    ];
    // Each attempt that fails counts against the address, as everywhere.
    for (what, make) in cases {
        assert_eq!(scripted.sign_in(make), unproven, "{what}\n{}", scripted.place.log_tail());
        std::thread::sleep(Duration::from_millis(250));
    }
    let refused = scripted.sign_in(with("groups", json!(["others"])));
    assert_eq!(refused, "/?problem=sign_in_refused");
    gateway.stop();
}

#[test]
fn a_sign_in_belongs_to_its_browser_and_comes_back_here() {
    let scripted = Scripted::new();
    let gateway = scripted.place.start();
    let at = scripted.place.address;
    // Somebody else's state, or none, or an answer from another issuer.
    let mut browser = Browser::default();
    let to = browser.get(at, START).header("location").expect("a redirect").to_owned();
    let state = parameter(&to, "state");
    assert_eq!(parameter(&to, "code_challenge_method"), "S256");
    assert_eq!(parameter(&to, "response_type"), "code");
    assert!(!to.contains(SECRET) && parameter(&to, "code_verifier").is_empty());
    for path in [
        format!("{CALLBACK}?code=c"),
        format!("{CALLBACK}?code=c&state=x"),
        format!("{CALLBACK}?state={state}"),
    ] {
        let mut browser = Browser::default();
        let answer = browser.get(at, &path);
        assert_eq!(answer.header("location"), Some("/?problem=sign_in_lost"), "{path}");
    }
    let path = format!("{CALLBACK}?code=c&state={state}&iss=https%3A%2F%2Fevil.example.com");
    let answer = browser.get(at, &path);
    assert_eq!(answer.header("location"), Some("/?problem=sign_in_unproven"));
    // Wherever it is asked to come back to, it stays here.
    for evil in
        ["https://evil.example.com", "//evil.example.com", "/%5Cevil.example.com", "/%09/evil"]
    {
        let mut browser = Browser::default();
        let answer = browser.get(at, &format!("{START}?return={evil}"));
        let to = answer.header("location").expect("a redirect").to_owned();
        let claims = json!({
            "iss": format!("https://{}", scripted.provider.address), "aud": "becket", "sub": "1",
            "exp": now_s() + 300, "iat": now_s(), "nonce": parameter(&to, "nonce"), "groups": ["ops"],
        });
        scripted.script.lock().expect("nobody panicked").token = scripted.signer.token(&claims);
        let path = format!("{CALLBACK}?code=c&state={}", parameter(&to, "state"));
        assert_eq!(browser.get(at, &path).header("location"), Some("/"), "{evil}");
    }
    gateway.stop();
}

#[test]
fn a_document_of_another_issuer_is_not_believed() {
    let scripted = Scripted::new();
    scripted.script.lock().expect("nobody panicked").issuer =
        Some("https://evil.example.com".to_owned());
    let gateway = scripted.place.start();
    let answer = Browser::default().get(scripted.place.address, START);
    assert_eq!(answer.header("location"), Some("/?problem=sign_in_unavailable"));
    gateway.stop();
}
