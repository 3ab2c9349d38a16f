//! A JSON value printed again, as Inngest (JCS) and Treezor (PHP) sign it.

use serde::{Deserialize, Serialize};

use super::Origin;
use super::rewrite::{JsonStyle, PhpFlag, Printing, rewrite};
use crate::scope::{Absent, Scope};

/// A JSON value printed in the style of another program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonBuild {
    /// `body`, `json` (the whole payload) or `json:PATH`.
    pub from: Origin,
    /// Whose way of writing JSON.
    pub style: JsonStyle,
    /// Flags of PHP's `json_encode`, for the style `php`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub php_flags: Vec<PhpFlag>,
    /// Whether keys are sorted at every level; `jcs` always sorts.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub sort_keys: bool,
    /// Members of the outermost object that are left out, such as the signature itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl JsonBuild {
    pub(super) fn build<'a>(&'a self, scope: &Scope<'a>) -> Result<Vec<u8>, Absent<'a>> {
        let printing = Printing {
            style: self.style,
            php_flags: &self.php_flags,
            sort_keys: self.sort_keys,
            exclude: &self.exclude,
        };
        self.from.json(scope, |raw| rewrite(raw, printing))
    }
}
