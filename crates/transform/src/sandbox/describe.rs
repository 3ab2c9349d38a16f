//! Says in a sentence what went wrong in the user's code, and in which line.

use rquickjs::{CaughtError, Coerced, Ctx, Error, Value};

use super::realm::{FILE, Watch, shown};
use crate::limits::{MESSAGE_BYTES_MAX, cut};
use crate::wire::Trouble;

/// Trouble that has no place in the source.
pub(super) fn trouble(message: impl Into<String>) -> Trouble {
    Trouble { timed_out: false, line: None, column: None, message: message.into() }
}

/// What an error of the interpreter means.
pub(super) fn error(ctx: &Ctx<'_>, watch: &Watch, error: Error) -> Trouble {
    if watch.was_interrupted() {
        ctx.catch();
        return timed_out();
    }
    let mut trouble = match CaughtError::from_error(ctx, error) {
        CaughtError::Exception(exception) => thrown(ctx, exception.into_object().into_value()),
        // What is thrown when there is no memory left for an error.
        CaughtError::Value(value) if value.is_null() => {
            trouble("it threw null, or ran out of memory")
        }
        CaughtError::Value(value) => {
            trouble(format!("it threw {}, which is no Error", shown(ctx, &value)))
        }
        // Without an exception something could not be made, for want of memory.
        CaughtError::Error(Error::Allocation | Error::Unknown) => trouble("out of memory"),
        CaughtError::Error(error) => trouble(error.to_string()),
    };
    if watch.was_interrupted() {
        ctx.catch();
        return timed_out();
    }
    cut(&mut trouble.message, MESSAGE_BYTES_MAX);
    trouble
}

pub(super) fn timed_out() -> Trouble {
    Trouble { timed_out: true, ..trouble("it took too long") }
}

fn thrown<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Trouble {
    let mut trouble = trouble(shown(ctx, &value));
    let stack = value.as_object().map(|error| error.get::<_, Option<Coerced<String>>>("stack"));
    match stack {
        Some(Ok(Some(stack))) => (trouble.line, trouble.column) = place(&stack.0),
        Some(Err(_)) => drop(ctx.catch()),
        _ => {}
    }
    trouble
}

/// Line and column of the first mention of the user's file in a trace.
fn place(stack: &str) -> (Option<u32>, Option<u32>) {
    let after = stack.split_once(FILE).and_then(|(_, after)| after.strip_prefix(':'));
    let Some(after) = after else { return (None, None) };
    let mut numbers = after.split(|c: char| !c.is_ascii_digit());
    let line = numbers.next().and_then(|text| text.parse().ok());
    let more = after.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(':');
    (line, numbers.next().filter(|_| more).and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_first_mention_of_the_file_is_the_place() {
        let stack = "    at inner (transformation.js:12:7)\n    at handler (transformation.js:3:1)";
        assert_eq!(place(stack), (Some(12), Some(7)));
        assert_eq!(place("    at transformation.js:4"), (Some(4), None));
        assert_eq!(place("    at transformation.js:4\n    at 77"), (Some(4), None));
        assert_eq!(place("    at <native>"), (None, None));
    }
}
