//! Two texts, line by line: what went and what came, with a little of what stayed.

use std::fmt::Write as _;

use crate::cli::Paint;
use crate::cli::output::visible;

/// How many unchanged lines stand around a change.
const CONTEXT: usize = 3;
/// Texts with more lines than this are not compared line by line, because that would take long.
const LINES_MAX: usize = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// Writes what changed under a title; one line if nothing did.
pub(super) fn onto(out: &mut String, title: &str, before: &str, after: &str, paint: Paint) {
    let title = paint.dim(title);
    if before == after {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{title}: unchanged");
        return;
    }
    let _ = writeln!(out, "{title}:");
    let lines = compared(before, after);
    let near = |index: usize| {
        let from = index.saturating_sub(CONTEXT);
        let to = (index + CONTEXT + 1).min(lines.len());
        lines[from..to].iter().any(|line| !matches!(line, Line::Same(_)))
    };
    let mut left_out = false;
    for (index, line) in lines.iter().enumerate() {
        let _ = match line {
            Line::Gone(text) => writeln!(out, "{}", paint.red(&format!("  - {}", visible(text)))),
            Line::New(text) => writeln!(out, "{}", paint.green(&format!("  + {}", visible(text)))),
            Line::Same(text) if near(index) => writeln!(out, "    {}", visible(text)),
            Line::Same(_) if left_out => continue,
            Line::Same(_) => writeln!(out, "    ..."),
        };
        left_out = matches!(line, Line::Same(_)) && !near(index);
    }
}

/// The shortest way from one text to the other, by the longest common subsequence of their lines.
fn compared<'a>(before: &'a str, after: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    if old.len().max(new.len()) > LINES_MAX {
        let gone = old.into_iter().map(Line::Gone);
        return gone.chain(new.into_iter().map(Line::New)).collect();
    }
    // common[i][j]: how many lines old[i..] and new[j..] have in common, in order.
    let width = new.len() + 1;
    let mut common = vec![0_u16; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::with_capacity(old.len() + new.len());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]
        {
            lines.push(Line::Gone(old[i]));
            i += 1;
        } else {
            lines.push(Line::New(new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_and_what_came_is_marked() {
        let mut out = String::new();
        let before = "{\n  \"a\": 1,\n  \"b\": 2\n}";
        let after = "{\n  \"a\": 1,\n  \"b\": 3,\n  \"c\": 4\n}";
        onto(&mut out, "payload", before, after, Paint::plain());
        let expected = "payload:\n    {\n      \"a\": 1,\n  -   \"b\": 2\n  +   \"b\": 3,\n  +   \"c\": 4\n    }\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn far_away_lines_are_left_out() {
        let before: String = (0..30).map(|n| format!("{n}\n")).collect();
        let mut out = String::new();
        onto(&mut out, "t", &before, &before.replace("15\n", ""), Paint::plain());
        assert_eq!(
            out,
            "t:\n    ...\n    12\n    13\n    14\n  - 15\n    16\n    17\n    18\n    ...\n"
        );
        let mut out = String::new();
        onto(&mut out, "t", "a", "a", Paint::plain());
        assert_eq!(out, "t: unchanged\n");
        let long = "x\n".repeat(LINES_MAX + 1);
        assert_eq!(compared(&long, "y").len(), LINES_MAX + 2);
    }
}
