//! A `curl` line that makes a request again, quoted for a POSIX shell.
//!
//! Invariants: what is printed is safe to paste: every value is quoted; credentials are not in it
//! unless the caller handed them in.

/// Bodies up to this size are written into the line, in bytes.
pub(crate) const INLINE_BYTES_MAX: usize = 8 * 1024;

/// The line. A body that is no text or is large is read from `body_file`, which the caller names.
pub(crate) fn line(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: &[u8],
    body_file: &str,
) -> String {
    let mut line = format!("curl --request {} --url {}", quoted(method), quoted(url));
    for (name, value) in headers {
        if matches!(name.to_ascii_lowercase().as_str(), "host" | "content-length" | "connection") {
            continue;
        }
        // curl sends an empty header only if it is written with a semicolon.
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        line.push_str(" \\\n  --header ");
        line.push_str(&quoted(&header));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        line.push_str(" \\\n  --header 'content-type:'");
    }
    let inline = std::str::from_utf8(body).ok().filter(|text| is_inline(text));
    match inline {
        Some(text) => {
            line.push_str(" \\\n  --data-raw ");
            line.push_str(&quoted(text));
        }
        None => {
            line.push_str(" \\\n  --data-binary ");
            line.push_str(&quoted(&format!("@{body_file}")));
        }
    }
    line
}

/// Whether a body is written into the line, and not read from a file.
pub(crate) fn is_inline(body: &str) -> bool {
    body.len() <= INLINE_BYTES_MAX && !body.chars().any(unprintable)
}

/// What a terminal would swallow or obey, so that a pasted line would no longer be the same.
fn unprintable(character: char) -> bool {
    character.is_control() && character != '\n'
}

fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_read() {
        let headers = [
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-empty".to_owned(), String::new()),
            ("Host".to_owned(), "localhost".to_owned()),
        ];
        let line = line("POST", "http://localhost/a?b=1&c=$d", &headers, b"it's `x`", "f");
        assert_eq!(
            line,
            "curl --request POST --url 'http://localhost/a?b=1&c=$d' \\\n  \
             --header 'content-type: application/json' \\\n  --header 'x-empty;' \\\n  \
             --data-raw 'it'\\''s `x`'"
        );
    }

    #[test]
    fn bytes_come_from_a_file() {
        for body in [&[0xff][..], b"a\r\n", b"\x1b[2J", &[b'x'; INLINE_BYTES_MAX + 1]] {
            let line = line("POST", "http://localhost/", &[], body, "msg.body");
            let end = "--header 'content-type:' \\\n  --data-binary @msg.body";
            assert!(line.ends_with(end), "{line}");
        }
    }
}
