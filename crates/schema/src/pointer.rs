//! JSON pointers (RFC 6901) as text, and the fragments of references that hold them.

use serde_json::Value;

/// Appends one step to a pointer.
pub(crate) fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    for letter in step.chars() {
        match letter {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// A pointer with one more step.
pub(crate) fn join(pointer: &str, step: &str) -> String {
    let mut longer = String::with_capacity(pointer.len() + step.len() + 1);
    longer.push_str(pointer);
    push(&mut longer, step);
    longer
}

/// One step of a pointer without its escapes.
pub(crate) fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// The text of a URI fragment without percent escapes; none if they are broken.
pub(crate) fn decode_fragment(fragment: &str) -> Option<String> {
    if !fragment.contains('%') {
        return Some(fragment.to_owned());
    }
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A pointer as a URI fragment, with everything escaped that a fragment must not hold.
pub(crate) fn encode_fragment(pointer: &str) -> String {
    let mut fragment = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte) {
            fragment.push(char::from(byte));
        } else {
            fragment.push_str(&format!("%{byte:02X}"));
        }
    }
    fragment
}

/// What a pointer leads to.
pub(crate) fn look_up<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    root.pointer(pointer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_escaped_and_fragments_come_back() {
        let pointer = join(&join("", "a/b~c"), "é %");
        assert_eq!(pointer, "/a~1b~0c/é %");
        assert_eq!(unescape("a~1b~0c"), "a/b~c");
        let fragment = encode_fragment(&pointer);
        assert!(fragment.is_ascii() && !fragment.contains(' '));
        assert_eq!(decode_fragment(&fragment).as_deref(), Some(pointer.as_str()));
        assert_eq!(decode_fragment("%4"), None);
        assert_eq!(decode_fragment("%zz"), None);
        let document = json!({ "a/b~c": { "é %": 7 } });
        assert_eq!(look_up(&document, &pointer), Some(&json!(7)));
    }
}
