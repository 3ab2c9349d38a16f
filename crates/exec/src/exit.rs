//! What an exit code means, and how it is put in words.

/// The exit code of a process that could not become the program, with [`NOT_STARTED_MARK`] as the
/// first thing that it printed.
pub(crate) const NOT_STARTED_CODE: i32 = 125;
/// See [`NOT_STARTED_CODE`].
pub(crate) const NOT_STARTED_MARK: &str = "\u{1}becket could not start the program: ";

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Success,
    Retry,
    GiveUp,
}

/// Which exit codes mean what; those that are in neither list mean that it is tried again.
#[derive(Debug, Clone)]
pub(crate) struct ExitCodes {
    pub(crate) success: Vec<u8>,
    pub(crate) give_up: Vec<u8>,
}

impl ExitCodes {
    pub(crate) fn meaning(&self, code: i32) -> Meaning {
        let within = |codes: &[u8]| codes.iter().any(|known| i32::from(*known) == code);
        if within(&self.success) {
            Meaning::Success
        } else if within(&self.give_up) {
            Meaning::GiveUp
        } else {
            Meaning::Retry
        }
    }
}

/// `exit code 3`, with the name that `sysexits.h` gives it, if it does.
pub(crate) fn exit_words(code: i32) -> String {
    let names = [
        (64, "EX_USAGE"),
        (65, "EX_DATAERR"),
        (66, "EX_NOINPUT"),
        (67, "EX_NOUSER"),
        (68, "EX_NOHOST"),
        (69, "EX_UNAVAILABLE"),
        (70, "EX_SOFTWARE"),
        (71, "EX_OSERR"),
        (72, "EX_OSFILE"),
        (73, "EX_CANTCREAT"),
        (74, "EX_IOERR"),
        (75, "EX_TEMPFAIL"),
        (76, "EX_PROTOCOL"),
        (77, "EX_NOPERM"),
        (78, "EX_CONFIG"),
    ];
    match names.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => format!("exit code {code} ({name})"),
        None => format!("exit code {code}"),
    }
}

/// `killed by signal 24 (SIGXCPU): its processor time is used up`.
pub(crate) fn signal_words(signal: i32) -> String {
    let (name, hint) = match signal {
        1 => ("SIGHUP", ""),
        2 => ("SIGINT", ""),
        3 => ("SIGQUIT", ""),
        4 => ("SIGILL", ""),
        6 => ("SIGABRT", ""),
        7 => ("SIGBUS", ""),
        8 => ("SIGFPE", ""),
        9 => ("SIGKILL", ": by somebody, or because the machine ran out of memory"),
        11 => ("SIGSEGV", ""),
        13 => ("SIGPIPE", ""),
        14 => ("SIGALRM", ""),
        15 => ("SIGTERM", ""),
        24 => ("SIGXCPU", ": its processor time is used up"),
        25 => ("SIGXFSZ", ": a file would have become larger than it may"),
        31 => ("SIGSYS", ""),
        _ => return format!("killed by signal {signal}"),
    };
    format!("killed by signal {signal} ({name}){hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_they_are_listed_as() {
        let usual = ExitCodes { success: vec![0], give_up: vec![65] };
        let own = ExitCodes { success: vec![0, 3], give_up: vec![1, 2] };
        for (codes, code, expected) in [
            (&usual, 0, Meaning::Success),
            (&usual, 1, Meaning::Retry),
            (&usual, 64, Meaning::Retry),
            (&usual, 65, Meaning::GiveUp),
            (&usual, 75, Meaning::Retry),
            (&usual, 127, Meaning::Retry),
            (&usual, 255, Meaning::Retry),
            (&own, 3, Meaning::Success),
            (&own, 2, Meaning::GiveUp),
            (&own, 65, Meaning::Retry),
        ] {
            assert_eq!(codes.meaning(code), expected, "{code}");
        }
    }

    #[test]
    fn ends_are_put_in_words() {
        assert_eq!(exit_words(3), "exit code 3");
        assert_eq!(exit_words(75), "exit code 75 (EX_TEMPFAIL)");
        assert_eq!(signal_words(15), "killed by signal 15 (SIGTERM)");
        assert!(signal_words(24).ends_with("processor time is used up"));
        assert_eq!(signal_words(40), "killed by signal 40");
    }
}
