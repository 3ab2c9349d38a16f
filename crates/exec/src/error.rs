//! What can be wrong with the description of a program.

/// Why a program cannot be run as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// There is no program.
    #[error("`command` is empty; write the program and its arguments, as in [\"/srv/deploy.sh\"]")]
    CommandEmpty,
    /// The program is a path that does not begin at the root.
    #[error("the program `{program}` is a relative path; write it from `/` on")]
    ProgramRelative {
        /// As it is written.
        program: String,
    },
    /// The program's name would come from an event.
    #[error("the program itself cannot have fields in it: an event must not choose what is run")]
    ProgramTemplate,
    /// There is no such program.
    #[error("the program `{program}` does not exist; check its path")]
    ProgramMissing {
        /// As it is written.
        program: String,
    },
    /// It cannot be run.
    #[error("the program `{program}` cannot be executed: {problem}")]
    ProgramNotExecutable {
        /// As it is written.
        program: String,
        /// What is in the way and what to do.
        problem: String,
    },
    /// A template that cannot be read.
    #[error("{place}: {problem}")]
    Template {
        /// Which argument or variable.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A script with fields in it.
    #[error(
        "with `shell` the script cannot have fields like {{{{body.ref}}}} in it: a value would be \
         shell text; put it into `env` and write \"$NAME\" in the script"
    )]
    ShellTemplate,
    /// A script in several parts.
    #[error("with `shell` the command is one text, the script")]
    ShellArguments,
    /// A variable that cannot be set.
    #[error("the variable `{name}` cannot be set: {problem}")]
    Variable {
        /// Its name.
        name: String,
        /// Why, and what can.
        problem: String,
    },
    /// A user or group that does not exist.
    #[error(
        "there is no {kind} `{name}` in {file}; create it, or write the number of one from elsewhere"
    )]
    UnknownAccount {
        /// `user` or `group`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// Only root may become somebody else.
    #[error(
        "the gateway does not run as root and cannot become the {kind} `{name}`; leave it out, or run \
         the gateway as root"
    )]
    CannotBecome {
        /// `user` or `group`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A folder that is none or is not absolute.
    #[error("the working directory `{folder}` {problem}")]
    WorkingDirectory {
        /// As it is written.
        folder: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Anything else that has no meaning.
    #[error("`{key}`: {problem}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What is wrong and what is right.
        problem: String,
    },
}

impl ExecError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CommandEmpty => "command_empty",
            Self::ProgramRelative { .. } => "program_relative",
            Self::ProgramTemplate => "program_template",
            Self::ProgramMissing { .. } => "program_missing",
            Self::ProgramNotExecutable { .. } => "program_not_executable",
            Self::Template { .. } => "template_unusable",
            Self::ShellTemplate => "shell_template",
            Self::ShellArguments => "shell_arguments",
            Self::Variable { .. } => "variable_unusable",
            Self::UnknownAccount { .. } => "unknown_account",
            Self::CannotBecome { .. } => "cannot_become",
            Self::WorkingDirectory { .. } => "working_directory",
            Self::Setting { .. } => "wrong_value",
        }
    }
}
