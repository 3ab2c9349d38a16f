//! What is demanded of a request beyond what the HTTP parser demands.
//!
//! The parser follows RFC 9112 and is lenient where the RFC lets it be. A gateway that stands behind
//! proxies has to be stricter: a request that another program could read differently is refused, and
//! its connection closed. The same holds after any chunked body: a length beside the chunks is gone
//! by the time the request is seen here, so that nothing which follows on the connection is trusted.

use http::header::{HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, StatusCode, Version};

/// The longest request target, in bytes.
const TARGET_MAX: usize = 8 * 1024;

/// Why a request is not looked at further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed {
    pub status: StatusCode,
    pub code: &'static str,
    pub detail: &'static str,
}

const fn malformed(code: &'static str, detail: &'static str) -> Malformed {
    Malformed { status: StatusCode::BAD_REQUEST, code, detail }
}

/// Checks a request's head.
pub(super) fn check(head: &Parts) -> Result<(), Malformed> {
    let target_bytes = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    if target_bytes > TARGET_MAX {
        let (status, code) = (StatusCode::URI_TOO_LONG, "target_too_long");
        return Err(Malformed { status, code, detail: "The URL is too long." });
    }
    if head.method == Method::CONNECT {
        return Err(malformed("connect", "This is not a proxy."));
    }
    check_host(head)?;
    check_path(head.uri.path())?;
    if let Some(coding) = head.headers.get(TRANSFER_ENCODING) {
        let plain = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        let single = head.headers.get_all(TRANSFER_ENCODING).iter().count() == 1;
        if !plain || !single {
            let (status, code) = (StatusCode::NOT_IMPLEMENTED, "transfer_coding");
            return Err(Malformed { status, code, detail: "This transfer coding is not taken." });
        }
    }
    Ok(())
}

/// Whether the connection has to end after this request, although the request is well formed.
pub(super) fn ends_connection(head: &Parts) -> bool {
    head.headers.contains_key(TRANSFER_ENCODING)
}

fn check_host(head: &Parts) -> Result<(), Malformed> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let wrong = malformed("host", "The request needs exactly one valid Host header.");
    match (first, second) {
        (Some(host), None) => {
            let plain =
                |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte);
            if host.as_bytes().iter().all(plain) { Ok(()) } else { Err(wrong) }
        }
        (None, _) if head.version < Version::HTTP_11 => Ok(()),
        _ => Err(wrong),
    }
}

/// Refuses what programs disagree about: escapes that are none, and control characters in disguise.
fn check_path(path: &str) -> Result<(), Malformed> {
    let bytes = path.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'%' {
            continue;
        }
        let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
            return Err(malformed("path_escape", "The URL holds an escape that is none."));
        };
        if high < 2 || (high, low) == (7, 15) {
            return Err(malformed("path_control", "The URL holds a control character."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> &'static str {
        let builder = build(http::Request::post("/in/x"));
        let (head, ()) = builder.body(()).unwrap().into_parts();
        check(&head).err().map_or("", |malformed| malformed.code)
    }

    #[test]
    fn table() {
        let host = |builder: http::request::Builder| builder.header("host", "h");
        assert_eq!(code(host), "");
        assert_eq!(code(|builder| builder), "host");
        assert_eq!(code(|builder| builder.version(Version::HTTP_10)), "");
        assert_eq!(code(|builder| host(host(builder))), "host");
        for (value, expected) in [
            ("[::1]:80", ""),
            ("a.example:8080", ""),
            ("a b", "host"),
            ("a/b", "host"),
            ("a@b", "host"),
        ] {
            assert_eq!(code(|builder| builder.header("host", value)), expected, "{value}");
        }
        for (target, expected) in [
            ("/in/x/%20", ""),
            ("/in/x/%2", "path_escape"),
            ("/in/x/%zz", "path_escape"),
            ("/in/x/%00", "path_control"),
            ("/in/x/%0d%0a", "path_control"),
            ("/in/x/%7F", "path_control"),
            ("/in/x?%00", ""),
        ] {
            assert_eq!(code(|builder| host(builder).uri(target)), expected, "{target}");
        }
        let long = format!("/in/x?{}", "a".repeat(TARGET_MAX));
        assert_eq!(code(|builder| host(builder).uri(long)), "target_too_long");
        for (value, expected) in
            [("chunked", ""), ("Chunked", ""), ("gzip, chunked", "transfer_coding")]
        {
            let found = code(|builder| host(builder).header("transfer-encoding", value));
            assert_eq!(found, expected, "{value}");
        }
    }
}
