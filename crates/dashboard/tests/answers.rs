//! Tables of what is asked and what is answered.

use becket_dashboard::{Answer, Asked, Site, answer, is_ours};

const PAGE: &str = "<!doctype html><meta name=\"becket-nonce\" content=\"__BECKET_NONCE__\">dash";
const PORTAL: &str =
    "<!doctype html><meta name=\"becket-nonce\" content=\"__BECKET_NONCE__\">portal";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn built() -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [
        ("index.html", PAGE),
        ("portal/index.html", PORTAL),
        ("favicon.svg", "<svg/>"),
        ("assets/app-1a2b.js", "script"),
        ("assets/app-1a2b.js.gz", "script, gzip"),
        ("assets/app-1a2b.js.br", "script, brotli"),
        ("assets/app-3c4d.css", "style"),
        ("assets/font-5e6f.woff2", "font"),
        ("secret.txt", "not served"),
        (".hidden", "not served"),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    let site = Site::folder(folder.path()).expect("a site");
    (folder, site)
}

fn asked(path: &str) -> Asked<'_> {
    Asked {
        path,
        accept: Some(BROWSER),
        accept_encoding: None,
        if_none_match: None,
        nonce: "bm9uY2U",
        frame_origins: &[],
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
}

fn body(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).expect("text")
}

#[test]
fn pages_by_path() {
    let (_folder, site) = built();
    for (path, expected) in [
        ("/", Some("dash")),
        ("/events", Some("dash")),
        ("/events/", Some("dash")),
        ("/events/msg_1", Some("dash")),
        ("/sources/new", Some("dash")),
        ("/quarantine/7", Some("dash")),
        ("/endpoints/ep_1", Some("dash")),
        ("/applications/app_1", Some("dash")),
        ("/event-types/invoice.paid", Some("dash")),
        ("/audit", Some("dash")),
        ("/settings", Some("dash")),
        ("/portal/", Some("portal")),
        ("/eventsx", None),
        ("/api/v1/becket/self", None),
        ("/ingest/api/v1/source", None),
        ("/in/github", None),
        ("/catalogue", None),
        ("/metrics", None),
        ("/portal/index.html", None),
        ("/portal/x", None),
        ("/index.html", None),
        ("/secret.txt", None),
        ("//events", None),
        ("/%65vents", None),
        ("", None),
        ("events", None),
        ("*", None),
    ] {
        let answer = answer(&site, &asked(path));
        assert!(answer.is_none() || is_ours(path), "{path}");
        let Some(expected) = expected else {
            assert_eq!(answer, None, "{path}");
            continue;
        };
        let answer = answer.unwrap_or_else(|| panic!("{path} has no answer"));
        assert_eq!(answer.status, 200, "{path}");
        assert!(body(&answer).ends_with(expected), "{path}: {}", body(&answer));
        assert!(body(&answer).contains("content=\"bm9uY2U\""), "{path}");
        assert_eq!(header(&answer, "cache-control"), Some("no-store"), "{path}");
        assert_eq!(header(&answer, "content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert_eq!(header(&answer, "etag"), None, "{path}");
    }
}

#[test]
fn programs_that_ask_for_a_route_get_the_apis_answer() {
    let (_folder, site) = built();
    for accept in [None, Some("*/*"), Some("application/json")] {
        assert_eq!(answer(&site, &Asked { accept, ..asked("/events") }), None);
        assert!(answer(&site, &Asked { accept, ..asked("/") }).is_some());
    }
}

#[test]
fn pages_are_guarded() {
    let (_folder, site) = built();
    let page = answer(&site, &asked("/")).expect("a page");
    let policy = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'nonce-bm9uY2U'; img-src \
        'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; \
        frame-ancestors 'none'";
    for (name, value) in [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(header(&page, name), Some(value), "{name}");
    }
    let powers = header(&page, "permissions-policy").expect("a policy");
    assert!(powers.contains("camera=()") && powers.contains("clipboard-write=(self)"), "{powers}");
    for answer in ["/favicon.svg", "/assets/app-1a2b.js", "/portal"]
        .map(|path| answer(&site, &asked(path)).expect("an answer"))
    {
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&answer, "referrer-policy"), Some("no-referrer"));
    }
}

#[test]
fn the_portal_is_framed_by_those_who_may() {
    let (_folder, site) = built();
    let alone = answer(&site, &asked("/portal/")).expect("a page");
    let policy = |answer: &Answer| header(answer, "content-security-policy").map(str::to_owned);
    assert!(policy(&alone).expect("a policy").ends_with("frame-ancestors 'none'"));
    assert_eq!(header(&alone, "x-frame-options"), Some("DENY"));

    let origins = ["https://app.example.com".to_owned(), "http://localhost:3000".to_owned()];
    let framed = Asked { frame_origins: &origins, ..asked("/portal/") };
    let framed = answer(&site, &framed).expect("a page");
    let expected = "frame-ancestors https://app.example.com http://localhost:3000";
    assert!(policy(&framed).expect("a policy").ends_with(expected));
    assert_eq!(header(&framed, "x-frame-options"), None);

    // The dashboard is never framed, whoever may frame the portal.
    let page = answer(&site, &Asked { frame_origins: &origins, ..asked("/") }).expect("a page");
    assert!(policy(&page).expect("a policy").ends_with("frame-ancestors 'none'"));
    assert_eq!(header(&page, "x-frame-options"), Some("DENY"));
}

#[test]
fn the_portal_without_its_slash_is_elsewhere() {
    let (_folder, site) = built();
    let moved = answer(&site, &asked("/portal")).expect("an answer");
    assert_eq!((moved.status, header(&moved, "location")), (308, Some("/portal/")));
}

#[test]
fn assets_are_kept_for_ever_and_come_small() {
    let (_folder, site) = built();
    let path = "/assets/app-1a2b.js";
    let mut etags = std::collections::BTreeSet::new();
    for (accept_encoding, bytes, coding) in [
        (None, "script", None),
        (Some("gzip, deflate, br"), "script, brotli", Some("br")),
        (Some("gzip"), "script, gzip", Some("gzip")),
        (Some("br;q=0, gzip;q=0"), "script", None),
    ] {
        let ask = Asked { accept_encoding, accept: Some("*/*"), ..asked(path) };
        let found = answer(&site, &ask).expect("a file");
        assert_eq!((found.status, body(&found)), (200, bytes));
        assert_eq!(header(&found, "content-encoding"), coding);
        assert_eq!(header(&found, "content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(header(&found, "cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(header(&found, "vary"), Some("accept-encoding"));
        let etag = header(&found, "etag").expect("an etag").to_owned();
        let again = Asked { if_none_match: Some(&etag), ..ask };
        let again = answer(&site, &again).expect("an answer");
        assert_eq!((again.status, body(&again)), (304, ""));
        assert_eq!(header(&again, "etag"), Some(etag.as_str()));
        assert_eq!(header(&again, "content-type"), None);
        let other = Asked { if_none_match: Some("\"other\""), ..ask };
        assert_eq!(answer(&site, &other).expect("an answer").status, 200);
        etags.insert(etag);
    }
    assert_eq!(etags.len(), 3, "each coding is named apart: {etags:?}");
    // What has no smaller form comes as it is.
    let css = Asked { accept_encoding: Some("br"), ..asked("/assets/app-3c4d.css") };
    let css = answer(&site, &css).expect("a file");
    assert_eq!((body(&css), header(&css, "content-encoding")), ("style", None));
    assert_eq!(header(&css, "content-type"), Some("text/css; charset=utf-8"));
    let font = answer(&site, &asked("/assets/font-5e6f.woff2")).expect("a file");
    assert_eq!(header(&font, "content-type"), Some("font/woff2"));
    let icon = answer(&site, &asked("/favicon.svg")).expect("a file");
    assert_eq!(header(&icon, "content-type"), Some("image/svg+xml"));
    assert_eq!(header(&icon, "cache-control"), Some("public, max-age=3600"));
    assert!(header(&icon, "content-security-policy").expect("a policy").ends_with("sandbox"));
}

#[test]
fn no_path_leads_out_of_the_bundle() {
    let (folder, site) = built();
    std::fs::write(folder.path().join("../becket-outside.txt"), "outside").expect("a file");
    for path in [
        "/assets/",
        "/assets/..",
        "/assets/../secret.txt",
        "/assets/../../becket-outside.txt",
        "/assets/../index.html",
        "/assets/./app-1a2b.js",
        "/assets//app-1a2b.js",
        "/assets/%2e%2e/secret.txt",
        "/assets/..%2fsecret.txt",
        "/assets/..\\secret.txt",
        "/assets/app-1a2b.js/",
        "/assets/app-1a2b.js%00",
        "/assets/app-1a2b.js\0",
        "/assets/.hidden",
        "/assets/app-1a2b.js.gz",
        "/assets/app-1a2b.js.br",
        "/assets/absent.js",
        "/favicon.svg/..",
        "/../favicon.svg",
    ] {
        assert_eq!(answer(&site, &asked(path)), None, "{path:?}");
    }
    std::fs::remove_file(folder.path().join("../becket-outside.txt")).expect("removed");
}

#[test]
fn without_a_build_a_page_says_what_to_do() {
    for path in ["/", "/events", "/portal/"] {
        let page = answer(&Site::NotBuilt, &asked(path)).expect("a page");
        assert_eq!(page.status, 200);
        assert!(body(&page).contains("make dashboard"));
        // Its only style carries the nonce that the policy names.
        assert!(body(&page).contains("<style nonce=\"bm9uY2U\">"));
        assert!(!body(&page).contains("<script") && !body(&page).contains("style="));
        let policy = header(&page, "content-security-policy").expect("a policy");
        assert!(policy.contains("'nonce-bm9uY2U'"));
    }
    for path in ["/favicon.svg", "/assets/app.js", "/api/v1/health", "/x"] {
        assert_eq!(answer(&Site::NotBuilt, &asked(path)), None, "{path}");
    }
}

#[test]
fn what_is_embedded_is_served() {
    let site = Site::embedded();
    let page = answer(&site, &asked("/")).expect("a page");
    match site {
        Site::NotBuilt => assert!(body(&page).contains("make dashboard")),
        _ => assert!(body(&page).contains("<div id=\"root\">")),
    }
}
