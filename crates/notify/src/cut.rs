//! Making texts fit.

/// What stands for the rest.
const ELLIPSIS: char = '…';

/// At most `max` characters, the last of them an ellipsis if something is missing. Characters are
/// counted as UTF-16 does, which is never less than what a service counts. An entity (`&amp;`), an
/// escape (`\*`) or a character with what belongs to it is not cut in two.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if utf16_len(text) <= max {
        return text.to_owned();
    }
    let mut left = max.saturating_sub(ELLIPSIS.len_utf16());
    let mut end = 0;
    for (at, character) in text.char_indices() {
        if character.len_utf16() > left {
            break;
        }
        left -= character.len_utf16();
        end = at + character.len_utf8();
    }
    let mut kept = &text[..end];
    if let Some(entity) = kept.rfind('&')
        && kept.len() - entity < "&quot;".len()
        && !kept[entity..].contains(';')
        && text[entity..].find(';').is_some_and(|length| length < "&quot;".len())
    {
        kept = &kept[..entity];
    }
    let escapes = kept.len() - kept.trim_end_matches('\\').len();
    if escapes % 2 == 1 {
        kept = &kept[..kept.len() - 1];
    }
    // A joiner or a mark belongs to what it stands with.
    if text[end..].starts_with(joins) || kept.ends_with('\u{200d}') {
        kept = kept.trim_end_matches(joins);
        kept = kept.char_indices().next_back().map_or("", |(at, _)| &kept[..at]);
    }
    let kept = kept.trim_end();
    if max == 0 { String::new() } else { format!("{kept}{ELLIPSIS}") }
}

fn joins(character: char) -> bool {
    matches!(character, '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{300}'..='\u{36f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// The length as UTF-16 counts it.
pub(crate) fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The text in one line, without control characters and what turns the direction of writing.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !turns(*c)));
    }
    line
}

/// The text with its line ends, without other control characters.
pub(crate) fn lines_only(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' | '\n' => kept.push('\n'),
            '\t' => kept.push(' '),
            other if other.is_control() || turns(other) => {}
            other => kept.push(other),
        }
    }
    kept
}

/// Characters that make what follows read backwards, which can hide what a text says.
fn turns(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_whole_characters() {
        let cases = [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("", 0, ""),
            ("a", 0, ""),
            ("ab", 1, "…"),
            // Two UTF-16 units each.
            ("😀😀😀", 5, "😀😀…"),
            ("😀😀😀", 6, "😀😀😀"),
            ("ab&amp;cd", 6, "ab…"),
            ("ab&amp;cd", 8, "ab&amp;…"),
            ("a & b and c", 6, "a & b…"),
            (r"ab\*cd", 4, "ab…"),
            (r"ab\\cd", 5, r"ab\\…"),
            ("words end here", 7, "words…"),
            // A flag-like sequence with joiners stays whole or goes.
            ("a👩\u{200d}💻b and more", 5, "a…"),
            ("e\u{301}e\u{301}e\u{301}", 4, "e\u{301}…"),
        ];
        for (text, max, expected) in cases {
            let made = cut(text, max);
            assert_eq!(made, expected, "{text} {max}");
            assert!(utf16_len(&made) <= max);
        }
    }

    #[test]
    fn lines_have_no_controls() {
        assert_eq!(one_line(" a\r\n b\t\u{0}c \u{202e}d"), "a b c d");
        assert_eq!(lines_only("a\r\nb\rc\u{7}\u{2028}d\te\u{202e}"), "a\nb\nc\u{2028}d e");
    }
}
