//! The difference of two texts, line by line.

/// Where a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// In both texts.
    Both,
    /// Only in the expected text.
    Expected,
    /// Only in the text that came.
    Seen,
    /// Nowhere: it says how many common lines are left out.
    Gap,
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// Where it is.
    pub side: Side,
    /// The line without its end.
    pub text: String,
}

/// Common lines shown around each change.
const CONTEXT: usize = 2;
/// With more cells than this the middle is shown as replaced whole: memory has a bound.
const CELLS_MAX: usize = 4_000_000;

/// The difference, with a little of what is common around each change. Empty if there is none.
#[must_use]
pub fn diff(expected: &str, seen: &str) -> Vec<DiffLine> {
    if expected == seen {
        return Vec::new();
    }
    let old: Vec<&str> = expected.split('\n').collect();
    let new: Vec<&str> = seen.split('\n').collect();
    let head = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let tail = old[head..]
        .iter()
        .rev()
        .zip(new[head..].iter().rev())
        .take_while(|(one, other)| one == other)
        .count();
    let line = |side, text: &&str| DiffLine { side, text: (*text).to_owned() };
    let mut lines: Vec<DiffLine> = old[..head].iter().map(|text| line(Side::Both, text)).collect();
    middle(&old[head..old.len() - tail], &new[head..new.len() - tail], &mut lines);
    lines.extend(old[old.len() - tail..].iter().map(|text| line(Side::Both, text)));
    shortened(lines)
}

/// The longest common subsequence decides what stayed.
fn middle(old: &[&str], new: &[&str], lines: &mut Vec<DiffLine>) {
    let mut push = |side, text: &str| lines.push(DiffLine { side, text: text.to_owned() });
    if (old.len() + 1).saturating_mul(new.len() + 1) > CELLS_MAX {
        old.iter().for_each(|text| push(Side::Expected, text));
        new.iter().for_each(|text| push(Side::Seen, text));
        return;
    }
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            longest[i * width + j] = if one == other {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            push(Side::Both, old[i]);
            (i, j) = (i + 1, j + 1);
        } else if j >= new.len()
            || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            push(Side::Expected, old[i]);
            i += 1;
        } else {
            push(Side::Seen, new[j]);
            j += 1;
        }
    }
}

/// Leaves out common lines that are far from every change.
fn shortened(lines: Vec<DiffLine>) -> Vec<DiffLine> {
    let changed: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.side != Side::Both)
        .map(|(place, _)| place)
        .collect();
    let mut out: Vec<DiffLine> = Vec::new();
    let mut left_out = 0_usize;
    let mut next = 0;
    for (place, line) in lines.into_iter().enumerate() {
        while next < changed.len() && changed[next] + CONTEXT < place {
            next += 1;
        }
        let near = changed.get(next).is_some_and(|change| change.abs_diff(place) <= CONTEXT);
        if !near {
            left_out += 1;
            continue;
        }
        push_gap(&mut out, &mut left_out);
        out.push(line);
    }
    push_gap(&mut out, &mut left_out);
    out
}

fn push_gap(out: &mut Vec<DiffLine>, left_out: &mut usize) {
    if *left_out > 0 {
        let lines = if *left_out == 1 { "line" } else { "lines" };
        out.push(DiffLine { side: Side::Gap, text: format!("{left_out} {lines} alike") });
        *left_out = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expected: &str, seen: &str) -> String {
        let sign = |side| match side {
            Side::Both => ' ',
            Side::Expected => '-',
            Side::Seen => '+',
            Side::Gap => '~',
        };
        diff(expected, seen)
            .iter()
            .map(|line| format!("{}{}|", sign(line.side), line.text))
            .collect()
    }

    #[test]
    fn changes_are_shown_with_a_little_around_them() {
        assert_eq!(shown("a", "a"), "");
        assert_eq!(shown("a\nb\nc", "a\nx\nc"), " a|-b|+x| c|");
        assert_eq!(shown("", "x"), "-|+x|");
        assert_eq!(
            shown("1\n2\n3\n4\n5\n6\n7\n8", "1\n2\n3\n4\nx\n6\n7\n8"),
            "~2 lines alike| 3| 4|-5|+x| 6| 7|~1 line alike|"
        );
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost(old in "[ab\n]{0,30}", new in "[ab\n]{0,30}") {
            let lines = {
                let (old, new): (Vec<&str>, Vec<&str>) =
                    (old.split('\n').collect(), new.split('\n').collect());
                let mut lines = Vec::new();
                middle(&old, &new, &mut lines);
                lines
            };
            let of = |side| {
                let kept: Vec<&str> = lines
                    .iter()
                    .filter(|line| line.side == side || line.side == Side::Both)
                    .map(|line| line.text.as_str())
                    .collect();
                kept.join("\n")
            };
            proptest::prop_assert_eq!(of(Side::Expected), old);
            proptest::prop_assert_eq!(of(Side::Seen), new);
        }
    }
}
