//! Texts that match a regular expression, made from its syntax tree.
//!
//! Best effort: what is not anchored is matched by the whole text, look-around does not exist in the
//! engine, and word boundaries are left to the check afterwards.

use regex_syntax::hir::{Class, Hir, HirKind};

/// No text is made longer than this, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// Texts that probably match, the pleasant ones first. Empty if the pattern cannot be read.
pub(crate) fn texts(pattern: &str, pick: usize) -> Vec<String> {
    let Ok(tree) = regex_syntax::parse(pattern) else { return Vec::new() };
    let mut texts = Vec::new();
    for more in [3, 0, 1, 2, 5, 8, 12, 20, 35, 63, 127, 255] {
        let mut writer = Writer { text: String::new(), more, pick };
        if writer.write(&tree) && !texts.contains(&writer.text) {
            texts.push(writer.text);
        }
    }
    texts
}

struct Writer {
    text: String,
    /// How many repetitions beyond the least are written where more are allowed.
    more: u32,
    /// Varies characters and branches.
    pick: usize,
}

impl Writer {
    fn write(&mut self, tree: &Hir) -> bool {
        if self.text.len() > MOST_BYTES {
            return false;
        }
        match tree.kind() {
            HirKind::Empty | HirKind::Look(_) => true,
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) => {
                    self.text.push_str(text);
                    true
                }
                Err(_) => false,
            },
            HirKind::Class(class) => {
                let turn = self.pick.wrapping_add(self.text.chars().count());
                let letter = letter(class, turn);
                self.text.extend(letter);
                letter.is_some()
            }
            HirKind::Repetition(repetition) => {
                let wanted = repetition.min.saturating_add(self.more);
                let times = repetition.max.map_or(wanted, |most| wanted.min(most));
                (0..times).all(|_| self.write(&repetition.sub))
            }
            HirKind::Capture(capture) => self.write(&capture.sub),
            HirKind::Concat(parts) => parts.iter().all(|part| self.write(part)),
            HirKind::Alternation(branches) => {
                let first = self.pick % branches.len();
                let turned = branches[first..].iter().chain(&branches[..first]);
                let start = self.text.len();
                for branch in turned {
                    self.text.truncate(start);
                    if self.write(branch) {
                        return true;
                    }
                }
                false
            }
        }
    }
}

/// A character of a class: letters and digits rather than signs, varied by `turn`.
fn letter(class: &Class, turn: usize) -> Option<char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.ranges().iter().map(|r| (r.start(), r.end())).collect(),
        Class::Bytes(class) => class
            .ranges()
            .iter()
            .filter(|r| r.start().is_ascii())
            .map(|r| (char::from(r.start()), char::from(r.end().min(0x7f))))
            .collect(),
    };
    let holds = |letter: &char| ranges.iter().any(|(from, to)| from <= letter && letter <= to);
    for family in ['a'..='z', 'A'..='Z', '0'..='9', '!'..='~'] {
        let members: Vec<char> = family.filter(holds).collect();
        if !members.is_empty() {
            return Some(members[turn % members.len()]);
        }
    }
    ranges
        .iter()
        .map(|(from, _)| *from)
        .find(|letter| !letter.is_control())
        .or_else(|| ranges.first().map(|(from, _)| *from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_their_patterns() {
        for pattern in [
            "^[A-Z]{3}$",
            "^ord_[a-z0-9]{8,}$",
            r"^\d{4}-\d{2}$",
            "^(red|green)$",
            r"^\+?[1-9]\d{1,14}$",
            "^#[0-9a-fA-F]{6}$",
            r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
            r"^v\d+(\.\d+){2}$",
            "^(?:a|b)*c$",
            "^$",
            "é+",
        ] {
            let schema = serde_json::json!({ "pattern": pattern });
            let judge = crate::CompiledSchema::compile(&schema).unwrap();
            for pick in 0..5 {
                let texts = texts(pattern, pick);
                assert!(!texts.is_empty(), "{pattern}");
                for text in texts {
                    assert!(judge.fits(&serde_json::json!(text)), "{pattern}: {text}");
                }
            }
        }
        assert_eq!(texts("^[a-z]{3}$", 0), ["abc"]);
        assert!(texts("^(?=a)", 0).is_empty());
    }
}
