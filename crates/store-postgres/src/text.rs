//! Texts that PostgreSQL can keep: it refuses the character NUL, which names and bodies may hold.
//!
//! A NUL is kept as U+0001 followed by `0`, and U+0001 itself as U+0001 followed by `1`. So every
//! text comes back as it was, equal texts stay equal, different ones different, and the order of
//! bytes is kept.

use std::borrow::Cow;

/// A text as it stands in a column.
pub(crate) fn pack(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte <= 1) {
        return Cow::Borrowed(text);
    }
    let mut packed = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => packed.push_str("\u{1}0"),
            '\u{1}' => packed.push_str("\u{1}1"),
            other => packed.push(other),
        }
    }
    Cow::Owned(packed)
}

/// A text from a column.
pub(crate) fn unpack(packed: String) -> String {
    if !packed.bytes().any(|byte| byte == 1) {
        return packed;
    }
    let mut text = String::with_capacity(packed.len());
    let mut characters = packed.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1}' {
            text.push(if characters.next() == Some('0') { '\0' } else { '\u{1}' });
        } else {
            text.push(character);
        }
    }
    text
}

/// Both for texts that may be missing.
pub(crate) fn pack_some(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(pack)
}

/// Likewise.
pub(crate) fn unpack_some(packed: Option<String>) -> Option<String> {
    packed.map(unpack)
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};

    #[test]
    fn every_text_comes_back_in_its_order() {
        let texts =
            ["", "\0", "\0\0", "\0\u{1}", "\0a", "\u{1}", "\u{1}\0", "\u{1}0", "\u{2}", "a", "a\0"];
        for text in texts {
            let packed = pack(text);
            assert!(!packed.contains('\0'));
            assert_eq!(unpack(packed.into_owned()), text);
        }
        let mut packed: Vec<_> = texts.iter().map(|text| pack(text).into_owned()).collect();
        packed.sort();
        let sorted: Vec<_> = packed.into_iter().map(unpack).collect();
        assert_eq!(sorted, texts);
    }
}
