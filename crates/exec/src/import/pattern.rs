//! Regular expressions as conditions: those that mean a text, a beginning, an end, a part or one of
//! several. Everything else has no counterpart in filters, whose cost is bounded on purpose.

use serde_json::{Value, json};

/// How many texts one expression may stand for.
const TEXTS_MAX: usize = 64;

/// A condition that means the same, and whether a `.` was taken for the character itself.
pub(super) fn condition(pattern: &str) -> Option<(Value, bool)> {
    let mut dots = false;
    let mut conditions = Vec::new();
    for alternative in alternatives(pattern)? {
        let condition = one(alternative, &mut dots)?;
        // Whatever is there will do.
        if condition == json!({ "$exist": true }) {
            return Some((condition, dots));
        }
        conditions.push(condition);
    }
    let condition = match conditions.len() {
        1 => conditions.pop()?,
        _ => json!({ "$or": conditions }),
    };
    Some((condition, dots))
}

fn one(pattern: &str, dots: &mut bool) -> Option<Value> {
    let (pattern, mut from_start) = match pattern.strip_prefix('^') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let escaped = pattern.ends_with("\\$") && !pattern.ends_with("\\\\$");
    let (pattern, mut to_end) = match pattern.strip_suffix('$').filter(|_| !escaped) {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let mut middle = pattern;
    if let Some(rest) = middle.strip_prefix(".*") {
        (middle, from_start) = (rest, false);
    }
    if let Some(rest) = middle.strip_suffix(".*").filter(|rest| !rest.ends_with('\\')) {
        (middle, to_end) = (rest, false);
    }
    let texts = texts(middle, dots)?;
    let list = || match texts.as_slice() {
        [one] => json!(one),
        several => json!(several),
    };
    let nothing = texts.iter().any(String::is_empty);
    Some(match (from_start, to_end) {
        (true, true) => match texts.as_slice() {
            [one] => json!({ "$eq": one }),
            several => json!({ "$in": several }),
        },
        (false, true) | (true, false) | (false, false) if nothing => json!({ "$exist": true }),
        (true, false) => json!({ "$startsWith": list() }),
        (false, true) => json!({ "$endsWith": list() }),
        (false, false) => match texts.as_slice() {
            [one] => json!({ "$in": one }),
            several => {
                json!({ "$or": several.iter().map(|text| json!({ "$in": text })).collect::<Vec<_>>() })
            }
        },
    })
}

/// Cuts at `|` outside parentheses and brackets.
fn alternatives(pattern: &str) -> Option<Vec<&str>> {
    let (mut depth, mut escaped, mut begin) = (0_usize, false, 0);
    let mut found = Vec::new();
    for (at, character) in pattern.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            '|' if depth == 0 => {
                found.push(&pattern[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.push(&pattern[begin..]);
    (depth == 0 && !escaped).then_some(found)
}

/// Every text that an expression of characters, groups of alternatives and `?` can be.
fn texts(pattern: &str, dots: &mut bool) -> Option<Vec<String>> {
    let mut all = vec![String::new()];
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        let mut choices = match character {
            '\\' => {
                let escaped = rest[1..].chars().next()?;
                length += escaped.len_utf8();
                if escaped.is_ascii_alphanumeric() {
                    return None;
                }
                vec![escaped.to_string()]
            }
            '(' => {
                let inside = group(rest)?;
                length = inside.len() + 2;
                let inside = match inside.strip_prefix('?') {
                    Some(rest) => rest.strip_prefix(':')?,
                    None => inside,
                };
                let mut choices = Vec::new();
                for alternative in alternatives(inside)? {
                    choices.extend(texts(alternative, dots)?);
                }
                choices
            }
            '.' => {
                *dots = true;
                vec![".".to_owned()]
            }
            '[' | ']' | ')' | '*' | '+' | '?' | '{' | '}' | '^' | '$' | '|' => return None,
            other => vec![other.to_string()],
        };
        rest = &rest[length..];
        if let Some(after) = rest.strip_prefix('?') {
            if character == '.' {
                return None;
            }
            choices.push(String::new());
            rest = after;
        }
        // What repeats has no end of texts.
        if rest.starts_with(['*', '+', '{', '?']) {
            return None;
        }
        if all.len() * choices.len() > TEXTS_MAX {
            return None;
        }
        all = all
            .iter()
            .flat_map(|begun| choices.iter().map(move |choice| format!("{begun}{choice}")))
            .collect();
    }
    Some(all)
}

/// What is inside the parentheses that a pattern begins with.
fn group(pattern: &str) -> Option<&str> {
    let (mut depth, mut escaped) = (0_usize, false);
    for (at, character) in pattern.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(&pattern[1..at]);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_texts_becomes_a_condition() {
        for (pattern, expected) in [
            ("", json!({ "$exist": true })),
            (".*", json!({ "$exist": true })),
            ("^", json!({ "$exist": true })),
            ("^$", json!({ "$eq": "" })),
            ("^main$", json!({ "$eq": "main" })),
            ("^refs/heads/", json!({ "$startsWith": "refs/heads/" })),
            ("^refs/tags/.*", json!({ "$startsWith": "refs/tags/" })),
            ("^refs/tags/.*$", json!({ "$startsWith": "refs/tags/" })),
            (r"\.txt$", json!({ "$endsWith": ".txt" })),
            ("push", json!({ "$in": "push" })),
            (".*push.*", json!({ "$in": "push" })),
            ("^(push|ping)$", json!({ "$in": ["push", "ping"] })),
            ("^(?:a|b)c", json!({ "$startsWith": ["ac", "bc"] })),
            (
                "^refs/heads/(main|master)$",
                json!({ "$in": ["refs/heads/main", "refs/heads/master"] }),
            ),
            ("^push$|^ping$", json!({ "$or": [{ "$eq": "push" }, { "$eq": "ping" }] })),
            ("a|b", json!({ "$or": [{ "$in": "a" }, { "$in": "b" }] })),
            ("^https?://", json!({ "$startsWith": ["https://", "http://"] })),
            (r"^\$x\$$", json!({ "$eq": "$x$" })),
            (r"cost\$", json!({ "$in": "cost$" })),
            ("(a|)$", json!({ "$exist": true })),
        ] {
            assert_eq!(condition(pattern), Some((expected, false)), "{pattern}");
        }
        assert_eq!(condition("^v1.2$"), Some((json!({ "$eq": "v1.2" }), true)));
    }

    #[test]
    fn what_means_more_does_not() {
        for pattern in [
            r"^\d+$",
            "^v[0-9]",
            "a+",
            "a*b",
            "(ab)*",
            "a{2}",
            "(?i)main",
            "^a.*b$",
            "a.+",
            ".?a",
            "(",
            ")",
            "a)",
            "(a|b",
            r"a\",
            r"\bmain\b",
            "a??",
            "x^y",
            "^(main|.*-rc)$",
        ] {
            assert_eq!(condition(pattern), None, "{pattern}");
        }
    }
}
