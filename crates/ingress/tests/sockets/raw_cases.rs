//! The table: bytes in, and what may come of them.
//!
//! The cases follow the rules of RFC 9110 and 9112 and the ways in which programs are known to read
//! them differently. `{SMUGGLED}` is replaced by a whole request that must never be run.

/// What may come of a case.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// This answer alone.
    Answer(u16),
    /// These answers, one for each request.
    Answers(&'static [u16]),
    /// This answer alone, and the gateway ends the connection.
    AnswerThenEnd(u16),
    /// At most one answer, which is no success, and the gateway ends the connection.
    Refused,
}

use Expected::{Answer, AnswerThenEnd, Answers, Refused};

pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

fn case(name: &str, bytes: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case { name: name.to_owned(), bytes: bytes.into(), expected }
}

/// A POST with a Host header, these header lines and this body.
fn with(lines: &str, body: &str) -> String {
    format!("POST /in/open HTTP/1.1\r\nhost: h\r\n{lines}\r\n{body}")
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let groups =
        [lengths(), codings(), chunks(), lines(), targets(), hosts(), versions(), sizes(), legit()];
    groups.into_iter().flatten().collect()
}

fn lengths() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, value) in [
        ("negative", "-1"),
        ("plus", "+1"),
        ("hexadecimal", "0x1"),
        ("with a letter", "1a"),
        ("with a space inside", "1 1"),
        ("with a comma, the same", "1, 1"),
        ("with a comma, another", "1, 2"),
        ("a trailing comma", "1,"),
        ("empty", ""),
        ("a fraction", "1.0"),
        ("an exponent", "1e1"),
        ("larger than 64 bits", "18446744073709551617"),
        ("far larger than 64 bits", "99999999999999999999999999999999"),
        ("quoted", "\"1\""),
        ("with an underscore", "1_0"),
        ("in full-width digits", "１"),
        ("with a semicolon", "1; a=b"),
        ("a tab inside", "1\t1"),
    ] {
        let bytes = with(&format!("content-length: {value}\r\n"), "x{SMUGGLED}");
        all.push(case(&format!("length: {name}"), bytes, Refused));
    }
    for (name, lines) in [
        ("twice, small then large", "content-length: 1\r\ncontent-length: 2\r\n"),
        ("twice, large then small", "content-length: 200\r\ncontent-length: 1\r\n"),
        ("twice, zero first", "content-length: 0\r\ncontent-length: 1\r\n"),
        (
            "three times, one differs",
            "content-length: 1\r\ncontent-length: 1\r\nContent-Length: 2\r\n",
        ),
        ("space before the colon", "content-length : 1\r\n"),
        ("tab before the colon", "content-length\t: 1\r\n"),
        ("a space before the name", " content-length: 1\r\n"),
        ("a NUL in the name", "content\0-length: 1\r\n"),
        ("a NUL in the value", "content-length: 1\0\r\n"),
        ("a carriage return in the value", "content-length: 1\r1\r\n"),
        ("folded", "content-length:\r\n 1\r\n"),
        ("a vertical tab before the value", "content-length:\x0b1\r\n"),
    ] {
        all.push(case(&format!("length: {name}"), with(lines, "x{SMUGGLED}"), Refused));
    }
    let shorter = with("content-length: 100\r\n", "{SMUGGLED}");
    all.push(case("length: more than is sent", shorter, Refused));
    let huge = with("content-length: 9223372036854775807\r\n", "x{SMUGGLED}");
    all.push(case("length: larger than allowed", huge, AnswerThenEnd(413)));
    all
}

fn codings() -> Vec<Case> {
    let mut all = Vec::new();
    let hidden = "0\r\n\r\n{SMUGGLED}";
    for (name, lines) in [
        ("length, then chunked", "content-length: 4\r\ntransfer-encoding: chunked\r\n"),
        ("chunked, then length", "transfer-encoding: chunked\r\ncontent-length: 4\r\n"),
        (
            "chunked between lengths",
            "content-length: 4\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n",
        ),
        ("chunked, then a wrong length", "transfer-encoding: chunked\r\ncontent-length: x\r\n"),
        ("zero length and chunked", "content-length: 0\r\ntransfer-encoding: chunked\r\n"),
    ] {
        // The parser drops the length beside the chunks, which is allowed if the connection ends.
        let bytes = with(lines, hidden);
        all.push(case(&format!("coding: {name}"), bytes, AnswerThenEnd(200)));
    }
    for (name, value) in [
        ("an unknown one", "xchunked"),
        ("identity", "identity"),
        ("chunked, then identity", "chunked, identity"),
        ("chunked, then gzip", "chunked, gzip"),
        ("gzip, then chunked", "gzip, chunked"),
        ("identity, then chunked", "identity, chunked"),
        ("chunked twice", "chunked, chunked"),
        ("an empty element", ", chunked"),
        ("a trailing comma", "chunked,"),
        ("with a parameter", "chunked;a=b"),
        ("quoted", "\"chunked\""),
        ("a vertical tab before", "\x0bchunked"),
        ("a form feed after", "chunked\x0c"),
        ("a NUL after", "chunked\0"),
        ("a letter missing", "chunke"),
        ("empty", ""),
        ("in the Turkish alphabet", "chunKed\u{130}"),
    ] {
        let bytes = with(&format!("transfer-encoding: {value}\r\n"), hidden);
        all.push(case(&format!("coding: {name}"), bytes, Refused));
    }
    for (name, lines) in [
        ("two lines, the second unknown", "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n"),
        ("two lines, the first unknown", "transfer-encoding: x\r\ntransfer-encoding: chunked\r\n"),
        ("two equal lines", "transfer-encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("space before the colon", "transfer-encoding : chunked\r\n"),
        ("a space before the name", "x: y\r\n transfer-encoding: chunked\r\n"),
        ("folded", "transfer-encoding:\r\n chunked\r\n"),
        ("a NUL in the name", "transfer-\0encoding: chunked\r\n"),
        ("a carriage return before the name", "x: y\r\rtransfer-encoding: chunked\r\n"),
    ] {
        all.push(case(&format!("coding: {name}"), with(lines, hidden), Refused));
    }
    let underscore = with("transfer_encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n");
    all.push(case("coding: with an underscore is another header", underscore, Answer(200)));
    let old = "POST /in/open HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    all.push(case("coding: chunked in HTTP/1.0", format!("{old}{hidden}"), Refused));
    all
}

fn chunks() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, body) in [
        ("size: not a number", "g\r\nx\r\n0\r\n\r\n"),
        ("size: negative", "-1\r\nx\r\n0\r\n\r\n"),
        ("size: plus", "+1\r\nx\r\n0\r\n\r\n"),
        ("size: prefixed", "0x1\r\nx\r\n0\r\n\r\n"),
        ("size: empty", "\r\nx\r\n0\r\n\r\n"),
        ("size: a space before", " 1\r\nx\r\n0\r\n\r\n"),
        ("size: larger than 64 bits", "fffffffffffffffff\r\nx\r\n0\r\n\r\n"),
        ("size: wraps to a small one", "10000000000000001\r\nx\r\n0\r\n\r\n"),
        ("size: line ended by a carriage return", "1\rx\r\n0\r\n\r\n"),
        ("size: line ended by a line feed", "1\nx\r\n0\r\n\r\n"),
        ("size: a NUL", "1\0\r\nx\r\n0\r\n\r\n"),
        ("size: smaller than the data", "1\r\nxy\r\n0\r\n\r\n"),
        ("size: larger than the data", "3\r\nx\r\n0\r\n\r\n"),
        ("data without its end", "1\r\nx0\r\n\r\n"),
        ("data ended by a line feed", "1\r\nx\n0\r\n\r\n"),
        ("data ended by a carriage return", "1\r\nx\r0\r\n\r\n"),
        ("extension with a line feed", "1;a\nb\r\nx\r\n0\r\n\r\n"),
        ("extension with a carriage return", "1;a\rb\r\nx\r\n0\r\n\r\n"),
    ] {
        let bytes = with("transfer-encoding: chunked\r\n", &format!("{body}{{SMUGGLED}}"));
        all.push(case(&format!("chunk {name}"), bytes, Refused));
    }
    let long_extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(100_000));
    for (name, body) in [
        ("extension: without end", long_extension.as_str()),
        ("trailer: without a colon", "0\r\nx\r\n\r\n"),
        ("trailer: a space before the colon", "0\r\nx : y\r\n\r\n"),
        ("trailer: a NUL", "0\r\nx: \0\r\n\r\n"),
    ] {
        let bytes = with("transfer-encoding: chunked\r\n", &format!("{body}{{SMUGGLED}}"));
        all.push(case(&format!("chunk {name}"), bytes, Refused));
    }
    for (name, body) in [
        ("well formed, then another request", "1\r\nx\r\n0\r\n\r\n{SMUGGLED}"),
        ("with an extension", "1;a=b\r\nx\r\n0\r\n\r\n{SMUGGLED}"),
        ("with leading zeros", "0001\r\nx\r\n0\r\n\r\n{SMUGGLED}"),
        ("with capital digits", "A\r\n0123456789\r\n0\r\n\r\n{SMUGGLED}"),
        ("with a trailer", "1\r\nx\r\n0\r\nx-a: b\r\n\r\n{SMUGGLED}"),
        ("with a length as trailer", "1\r\nx\r\n0\r\ncontent-length: 99\r\n\r\n{SMUGGLED}"),
        ("with nothing in it", "0\r\n\r\n{SMUGGLED}"),
    ] {
        let bytes = with("transfer-encoding: chunked\r\n", body);
        all.push(case(&format!("chunk {name}"), bytes, AnswerThenEnd(200)));
    }
    let many = format!("0\r\n{}\r\n{{SMUGGLED}}", "x: y\r\n".repeat(20_000));
    let bytes = with("transfer-encoding: chunked\r\n", &many);
    all.push(case("chunk trailers without end", bytes, Refused));
    let unfinished = with("transfer-encoding: chunked\r\n", "1\r\nx\r\n");
    all.push(case("chunk without the last one", unfinished, Refused));
    all
}

fn lines() -> Vec<Case> {
    let mut all = Vec::new();
    let tail = "content-length: 0\r\n\r\n{SMUGGLED}";
    for (name, line) in [
        ("no colon", "nonsense\r\n"),
        ("empty name", ": x\r\n"),
        ("space in the name", "x y: z\r\n"),
        ("folded", "x: y\r\n z\r\n"),
        ("folded by a tab", "x: y\r\n\tz\r\n"),
        ("a NUL in the name", "x\0: y\r\n"),
        ("a NUL in the value", "x: \0\r\n"),
        ("a bell in the value", "x: \x07\r\n"),
        ("delete in the value", "x: \x7f\r\n"),
        ("a lone carriage return", "x: y\rz: a\r\n"),
        ("parentheses in the name", "x(y): z\r\n"),
        ("a slash in the name", "x/y: z\r\n"),
        ("an at sign in the name", "x@y: z\r\n"),
        ("braces in the name", "{x}: z\r\n"),
        ("a letter beyond ASCII in the name", "xé: z\r\n"),
    ] {
        let bytes = format!("POST /in/open HTTP/1.1\r\nhost: h\r\n{line}{tail}");
        all.push(case(&format!("header: {name}"), bytes, Refused));
    }
    let first = "POST /in/open HTTP/1.1\r\n x: y\r\nhost: h\r\n";
    all.push(case("header: a space before the first", format!("{first}{tail}"), Refused));
    for (name, bytes) in [
        ("rubbish", &b"\x00\x01\x02\x03\xff\xfe\r\n\r\n"[..]),
        ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("an SSH greeting", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("a proxy's preamble", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n"),
        ("nothing but spaces", b"      \r\n\r\n"),
        ("half a line", b"POST /in/open"),
        ("an answer", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ] {
        all.push(case(&format!("instead of a request: {name}"), bytes, Refused));
    }
    for (name, line) in [
        ("two spaces", "POST  /in/open HTTP/1.1"),
        ("a tab", "POST\t/in/open HTTP/1.1"),
        ("a space before", " POST /in/open HTTP/1.1"),
        ("two spaces before the version", "POST /in/open  HTTP/1.1"),
        ("a space in the target", "POST /in/open /x HTTP/1.1"),
        ("a NUL in the method", "PO\0ST /in/open HTTP/1.1"),
        ("a bracket in the method", "PO[ST /in/open HTTP/1.1"),
        ("no method", "/in/open HTTP/1.1"),
        ("no target", "POST HTTP/1.1"),
        ("a carriage return inside", "POST /in/open\rHTTP/1.1"),
    ] {
        let bytes = format!("{line}\r\nhost: h\r\n{tail}");
        all.push(case(&format!("request line: {name}"), bytes, Refused));
    }
    all
}

fn targets() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, target, expected) in [
        ("an escape that is none", "/in/open/%zz", Refused),
        ("half an escape", "/in/open/%2", Refused),
        ("an escaped NUL", "/in/open/%00", Refused),
        ("escaped line ends", "/in/open/%0d%0ax:%20y", Refused),
        ("a raw NUL", "/in/open/\0", Refused),
        ("a raw control character", "/in/open/\x01", Refused),
        ("raw delete", "/in/open/\x7f", Refused),
        ("empty", "", Refused),
        ("a name alone", "in/open", Refused),
        ("a backslash first", "\\in\\open", Refused),
        ("out of the folder", "/in/../in/open", AnswerThenEnd(404)),
        ("out of the folder, escaped", "/in/%2e%2e/open", AnswerThenEnd(404)),
        ("an escaped name", "/in/%6fpen", AnswerThenEnd(404)),
        ("an escaped slash", "/in%2fopen", AnswerThenEnd(200)),
        ("two slashes", "//in/open", AnswerThenEnd(200)),
        ("another case", "/IN/open", AnswerThenEnd(200)),
        ("absolute", "http://elsewhere.example/in/open", AnswerThenEnd(200)),
        ("absolute, with a user", "http://user:pw@h/in/open", AnswerThenEnd(200)),
        ("absolute, another scheme", "gopher://h/in/nobody", AnswerThenEnd(404)),
        ("an asterisk", "*", AnswerThenEnd(200)),
        ("below the source", "/in/open/../../etc/passwd", AnswerThenEnd(200)),
    ] {
        let bytes = format!(
            "POST {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 0\r\n\r\n{{SMUGGLED}}"
        );
        all.push(case(&format!("target: {name}"), bytes, expected));
    }
    let connect =
        "CONNECT internal.example:443 HTTP/1.1\r\nhost: internal.example:443\r\n\r\n{SMUGGLED}";
    all.push(case("target: CONNECT", connect, Refused));
    let connect = "CONNECT /in/open HTTP/1.1\r\nhost: h\r\n\r\n{SMUGGLED}";
    all.push(case("target: CONNECT to a path", connect, Refused));
    all
}

fn hosts() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, lines) in [
        ("none", ""),
        ("two", "host: h\r\nhost: h\r\n"),
        ("two that differ", "host: h\r\nHost: evil\r\n"),
        ("a path", "host: h/x\r\n"),
        ("a user", "host: user@h\r\n"),
        ("a space", "host: h evil\r\n"),
        ("a comma and a space", "host: h, evil\r\n"),
        ("a backslash", "host: h\\evil\r\n"),
        ("a letter beyond ASCII", "host: hé\r\n"),
    ] {
        let bytes =
            format!("POST /in/open HTTP/1.1\r\n{lines}content-length: 0\r\n\r\n{{SMUGGLED}}");
        all.push(case(&format!("host: {name}"), bytes, AnswerThenEnd(400)));
    }
    let bytes = "POST /in/open HTTP/1.1\r\nhost:\r\ncontent-length: 1\r\n\r\nx";
    all.push(case("host: empty", bytes, Answer(200)));
    all
}

fn versions() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, version) in [
        ("2.0", "HTTP/2.0"),
        ("1.2", "HTTP/1.2"),
        ("0.9", "HTTP/0.9"),
        ("in small letters", "http/1.1"),
        ("a digit too many", "HTTP/1.10"),
        ("no digit", "HTTP/1."),
        ("another protocol", "ICY/1.1"),
    ] {
        let bytes =
            format!("POST /in/open {version}\r\nhost: h\r\ncontent-length: 0\r\n\r\n{{SMUGGLED}}");
        all.push(case(&format!("version: {name}"), bytes, Refused));
    }
    all.push(case("version: HTTP/0.9", "GET /in/open\r\n{SMUGGLED}", Refused));
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    all.push(case("version: the preface of HTTP/2", preface, Refused));
    let upgrade = "upgrade: h2c\r\nconnection: upgrade, http2-settings, close\r\n\
        http2-settings: AAMAAABkAAQAAP__\r\ncontent-length: 1\r\n";
    all.push(case("version: asking for h2c", with(upgrade, "x{SMUGGLED}"), AnswerThenEnd(200)));
    let socket = "upgrade: websocket\r\nconnection: upgrade, close\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncontent-length: 1\r\n";
    all.push(case(
        "version: asking for a web socket",
        with(socket, "x{SMUGGLED}"),
        AnswerThenEnd(200),
    ));
    let old = "POST /in/open HTTP/1.0\r\ncontent-length: 1\r\n\r\nx{SMUGGLED}";
    all.push(case("version: HTTP/1.0 ends after one request", old, AnswerThenEnd(200)));
    all
}

fn sizes() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let length = "content-length: 1\r\nconnection: close\r\n";
    vec![
        case(
            "size: 97 more headers",
            with(&format!("{}{length}", many(97)), "x"),
            AnswerThenEnd(200),
        ),
        case(
            "size: 98 more headers",
            with(&format!("{}{length}", many(98)), "x{SMUGGLED}"),
            Refused,
        ),
        case("size: 5,000 headers", with(&many(5_000), "{SMUGGLED}"), Refused),
        case(
            "size: a header of 100,000 bytes",
            with(&format!("x: {}\r\n", "y".repeat(100_000)), "{SMUGGLED}"),
            Refused,
        ),
        case(
            "size: a header name of 100,000 bytes",
            with(&format!("{}: y\r\n", "x".repeat(100_000)), "{SMUGGLED}"),
            Refused,
        ),
        case(
            "size: a target of 8,000 bytes",
            format!("POST /in/open?{} HTTP/1.1\r\nhost: h\r\n{length}\r\nx", "y".repeat(8_000)),
            AnswerThenEnd(200),
        ),
        case(
            "size: a target of 9,000 bytes",
            format!(
                "POST /in/open?{} HTTP/1.1\r\nhost: h\r\n{length}\r\nx{{SMUGGLED}}",
                "y".repeat(9_000)
            ),
            AnswerThenEnd(414),
        ),
        case(
            "size: a target of 100,000 bytes",
            format!(
                "POST /in/open?{} HTTP/1.1\r\nhost: h\r\n{length}\r\nx{{SMUGGLED}}",
                "y".repeat(100_000)
            ),
            Refused,
        ),
        case(
            "size: a method of 100,000 bytes",
            format!(
                "{} /in/open HTTP/1.1\r\nhost: h\r\n{length}\r\nx{{SMUGGLED}}",
                "Y".repeat(100_000)
            ),
            Refused,
        ),
        case("size: empty lines without end", "\r\n".repeat(60_000), Refused),
    ]
}

fn legit() -> Vec<Case> {
    let one = "POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx";
    let last =
        "POST /in/open HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx";
    let unread = "POST /in/nobody HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n";
    vec![
        case("legit: one", one, Answer(200)),
        case("legit: two on one connection", format!("{one}{one}"), Answers(&[200, 200])),
        case("legit: three, the last ends it", format!("{one}{one}{last}"), Answers(&[200; 3])),
        case(
            "legit: nothing is run after the end",
            format!("{last}{{SMUGGLED}}"),
            AnswerThenEnd(200),
        ),
        case("legit: an empty line before", format!("\r\n{one}"), Answer(200)),
        case(
            "legit: the same length twice",
            with("content-length: 1\r\ncontent-length: 1\r\n", "x"),
            Answer(200),
        ),
        case("legit: leading zeros", with("content-length: 0001\r\n", "x"), Answer(200)),
        case(
            "legit: spaces around the length",
            with("content-length:   1  \r\n", "x"),
            Answer(200),
        ),
        case("legit: no body at all", with("", ""), Answer(200)),
        case(
            "legit: lines ended by line feeds",
            "POST /in/open HTTP/1.1\nhost: h\ncontent-length: 1\n\nx",
            Answer(200),
        ),
        case(
            "legit: bytes beyond ASCII in a value",
            with("x: é\r\ncontent-length: 1\r\n", "x"),
            Answer(200),
        ),
        case("legit: an empty value", with("x:\r\ncontent-length: 1\r\n", "x"), Answer(200)),
        case(
            "legit: continue when ready",
            with("expect: 100-continue\r\ncontent-length: 1\r\n", "x"),
            Answer(200),
        ),
        case(
            "legit: no body is asked for that is not wanted",
            "POST /in/nobody HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
            AnswerThenEnd(404),
        ),
        case(
            "legit: an unread body is not taken for requests",
            format!("{unread}{}", "{SMUGGLED}".repeat(50)),
            AnswerThenEnd(404),
        ),
        case(
            "legit: a request inside a body is a body",
            with(
                "content-length: 63\r\n",
                "POST /in/smuggled/0 HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx  ",
            ),
            Answer(200),
        ),
        case("legit: GET has no event", "GET /in/open HTTP/1.1\r\nhost: h\r\n\r\n", Answer(405)),
        case(
            "legit: a body on GET is not a request",
            "GET /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx",
            Answer(405),
        ),
        case(
            "legit: TRACE is not echoed",
            "TRACE /in/open HTTP/1.1\r\nhost: h\r\n\r\n",
            Answer(405),
        ),
    ]
}
