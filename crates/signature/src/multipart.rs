//! Finding one part of a `multipart/form-data` body.
//!
//! Invariants: nothing is copied; a body that does not follow its own boundary yields nothing. Names are compared
//! as they stand between the quotes, `\"` aside. Deliberately absent: files, nested parts, transfer encodings.

use std::ops::Range;

use crate::request::RequestView;

/// At most this many parts are looked at.
const PARTS_MAX: usize = 256;

/// The content of the first part of this name.
pub(crate) fn part<'a>(request: &RequestView<'a>, name: &str) -> Option<&'a [u8]> {
    request.body.get(part_range(request, name)?)
}

/// Whether several parts have this name.
pub(crate) fn is_repeated(request: &RequestView<'_>, name: &str) -> bool {
    nth_range(request, name, 1).is_some()
}

/// Where the content of the first part of this name stands in the body.
pub(crate) fn part_range(request: &RequestView<'_>, name: &str) -> Option<Range<usize>> {
    nth_range(request, name, 0)
}

fn nth_range(request: &RequestView<'_>, name: &str, mut skip: usize) -> Option<Range<usize>> {
    let boundary = boundary(request)?;
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut rest = after(request.body, &delimiter)?;
    for _ in 0..PARTS_MAX {
        // The last delimiter ends with two hyphens.
        if rest.starts_with(b"--") {
            return None;
        }
        let headers_start = after(rest, b"\r\n")?;
        let head_length = find(headers_start, b"\r\n\r\n")?;
        let (head, content) = headers_start.split_at(head_length);
        let content = &content[4..];
        let next = [b"\r\n", delimiter.as_slice()].concat();
        let length = find(content, &next)?;
        if part_name(head).is_some_and(|found| found == name) {
            if skip == 0 {
                let start = request.body.len() - content.len();
                return Some(start..start + length);
            }
            skip -= 1;
        }
        rest = &content[length + next.len()..];
    }
    None
}

/// The boundary that the content type names.
pub(crate) fn boundary<'a>(request: &RequestView<'a>) -> Option<&'a str> {
    let value = request.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = value.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let text = parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.trim().split_once('=')?;
        key.eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    (1..=70).contains(&text.len()).then_some(text)
}

/// The name in a part's `Content-Disposition`.
fn part_name(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    // `filename="…"` also ends with `name="`, so that what stands before must be a separator.
    let mut rest = disposition;
    loop {
        let position = rest.find("name=")?;
        let before = rest[..position].chars().next_back();
        let value = &rest[position + 5..];
        if before.is_none_or(|before| before == ';' || before == ' ') {
            return Some(match value.strip_prefix('"') {
                Some(quoted) => {
                    let end = quoted.find('"')?;
                    quoted[..end].to_owned()
                }
                None => value.split(';').next().unwrap_or(value).trim().to_owned(),
            });
        }
        rest = value;
    }
}

fn after<'b>(bytes: &'b [u8], wanted: &[u8]) -> Option<&'b [u8]> {
    find(bytes, wanted).map(|position| &bytes[position + wanted.len()..])
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(position) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + position..].starts_with(wanted) {
            return Some(from + position);
        }
        from += position + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_name() {
        let mut headers = http::HeaderMap::new();
        let body = "--b1\r\nContent-Disposition: form-data; name=\"f\"; filename=\"json\"\r\n\r\nfile\r\n\
                    --b1\r\ncontent-disposition: form-data; filename=\"x\"; name=json\r\nContent-Type: application/json\r\n\r\n\
                    {\"a\":1}\r\n--b1--\r\n";
        let found = |headers: &http::HeaderMap, body: &str, name: &str| {
            let request = RequestView { method: "POST", url: "", headers, body: body.as_bytes() };
            part(&request, name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        assert_eq!(found(&headers, body, "json"), None);
        for kind in
            ["multipart/form-data; boundary=b1", "Multipart/Form-Data; charset=x; Boundary=\"b1\""]
        {
            headers.insert("content-type", kind.parse().expect("a value"));
            assert_eq!(found(&headers, body, "json").as_deref(), Some("{\"a\":1}"));
            assert_eq!(found(&headers, body, "f").as_deref(), Some("file"));
            assert_eq!(found(&headers, body, "x"), None);
        }
        for length in 0..body.len() - 20 {
            assert_eq!(found(&headers, &body[..length], "nobody"), None);
        }
    }
}
