//! Headers that keep a page from doing, or being done, what it should not.

/// A header's name and value.
pub(crate) type Header = (&'static str, String);

/// Who may show a page inside another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame<'o> {
    /// Nobody.
    Never,
    /// Pages of these origins, such as `https://app.example.com`; nobody if there are none.
    Origins(&'o [String]),
}

/// Powers of a browser that no page here needs; the clipboard is for copying what is shown.
const PERMISSIONS: &str = "accelerometer=(), camera=(), clipboard-read=(), clipboard-write=(self), \
     display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), \
     payment=(), publickey-credentials-get=(), screen-wake-lock=(), usb=(), xr-spatial-tracking=()";

/// The headers of an HTML page whose styles carry `nonce`.
pub(crate) fn page_headers(nonce: &str, frame: Frame<'_>) -> Vec<Header> {
    let ancestors = match frame {
        Frame::Origins(origins) if !origins.is_empty() => origins.join(" "),
        _ => "'none'".to_owned(),
    };
    let framed = ancestors != "'none'";
    let policy = format!(
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' \
         data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors {ancestors}"
    );
    let mut headers = vec![
        ("content-type", "text/html; charset=utf-8".to_owned()),
        ("cache-control", "no-store".to_owned()),
        ("content-security-policy", policy),
        ("cross-origin-opener-policy", "same-origin".to_owned()),
        ("permissions-policy", PERMISSIONS.to_owned()),
    ];
    if !framed {
        // It cannot name origins; where some may frame the page, the policy above is the rule.
        headers.push(("x-frame-options", "DENY".to_owned()));
    }
    headers.extend(common_headers());
    headers
}

/// The content security policy of a picture. Opened by itself, a drawing is a document: it may draw
/// and do nothing else.
pub const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// What every answer carries.
#[must_use]
pub fn common_headers() -> [(&'static str, String); 3] {
    [
        ("x-content-type-options", "nosniff".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("cross-origin-resource-policy", "same-origin".to_owned()),
    ]
}

/// The content type of a file by the end of its name.
pub(crate) fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "jpg" | "jpeg" => "image/jpeg",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
