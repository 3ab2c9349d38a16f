//! Sources that are not in the file: the demo's, the alerts' and those of the API.
//!
//! Invariant: their settings go through the very reading and checking that the file's do, so a setting
//! means the same wherever it comes from. What is secret, and what TOML cannot write (a JSON Schema
//! with null in it), is put in afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use becket_model::SourceRules;
use serde_json::{Map, Value as Json, json};

use super::value::Scalar as _;
use super::{BodySchema, Problem, Secret, Severity, Source, parse};

/// Of a source of the API, what the API was given.
#[derive(Debug)]
pub struct ApiSource<'r> {
    /// Its name, which can stand in a URL.
    pub id: &'r str,
    /// The slug of its provider.
    pub provider: &'r str,
    /// The secrets that prove a request genuine.
    pub secrets: Vec<Secret>,
    /// The provider's public key.
    pub public_key: Option<Secret>,
    /// What else the provider's entry asks for, and settings of the entry, by name.
    pub credentials: BTreeMap<String, Secret>,
    /// Limits and rules.
    pub rules: Option<&'r SourceRules>,
}

/// A rule that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// The setting as the file calls it, such as `rate_limit` or `dedupe.window`; empty if it is
    /// about none.
    pub key: String,
    /// What is wrong, in a sentence.
    pub message: String,
}

impl Source {
    /// A source that is not in the file, with every default and one endpoint: for a first try.
    #[must_use]
    pub fn demo(id: &str, provider: &str, secret: Secret, endpoint_url: &str) -> Option<Self> {
        let mut source = Self::outside_file(id, provider, |table| {
            let endpoint = json!([{ "id": "echo", "url": endpoint_url }]);
            table.insert("endpoint".to_owned(), endpoint);
            table.insert("secrets".to_owned(), json!([secret.expose()]));
        })
        .ok()?;
        source.secrets = vec![secret];
        Some(source)
    }

    /// A source that is not in the file, with every default and what `add` puts into its table.
    pub(crate) fn outside_file(
        id: &str,
        provider: &str,
        add: impl FnOnce(&mut Map<String, Json>),
    ) -> Result<Self, String> {
        let mut table = Map::new();
        table.insert("id".to_owned(), id.into());
        table.insert("provider".to_owned(), provider.into());
        add(&mut table);
        read(table).map_err(|problems| {
            let words: Vec<String> = problems.into_iter().map(|one| one.message).collect();
            words.join("; ")
        })
    }

    /// A source that the API made.
    ///
    /// # Errors
    /// Every rule that cannot be.
    pub fn from_api(given: ApiSource<'_>) -> Result<Self, Vec<RuleProblem>> {
        // The plainest provider, because the parser checks credentials, which are put in afterwards
        // so that no secret can be in an error.
        let mut table = Map::new();
        table.insert("id".to_owned(), given.id.into());
        table.insert("provider".to_owned(), "none".into());
        let rules = given.rules.cloned().unwrap_or_default();
        put_rules(&rules, &mut table);
        let (source, mut problems) = match read(table) {
            Ok(source) => (Some(source), Vec::new()),
            Err(problems) => (None, problems),
        };
        let schema = rules.schema.map(BodySchema::of).transpose().unwrap_or_else(|message| {
            problems.push(RuleProblem { key: "schema".to_owned(), message });
            None
        });
        let Some(mut source) = source.filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        source.provider = given.provider.to_owned();
        source.secrets = given.secrets;
        source.public_key = given.public_key;
        source.credentials = given.credentials;
        source.schema = schema;
        Ok(source)
    }
}

/// Reads a source as if this table were all of a file.
fn read(table: Map<String, Json>) -> Result<Source, Vec<RuleProblem>> {
    let plain = |message: String| vec![RuleProblem { key: String::new(), message }];
    let file = BTreeMap::from([("source", vec![table])]);
    let value = toml::Value::try_from(file).map_err(|error| plain(error.to_string()))?;
    let text = toml::to_string(&value).map_err(|error| plain(error.to_string()))?;
    let loaded = parse(&text).map_err(|errors| -> Vec<RuleProblem> {
        let wrong = |one: &&Problem| one.severity == Severity::Error;
        errors.problems.iter().filter(wrong).map(of_rules).collect()
    })?;
    let mut sources = loaded.config.sources.into_iter();
    sources.next().ok_or_else(|| plain("there is no source".to_owned()))
}

/// Writes rules as the file has them.
fn put_rules(rules: &SourceRules, table: &mut Map<String, Json>) {
    let duration = |ms: u64| Duration::from_millis(ms).text();
    let mut put = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            table.insert(name.to_owned(), value);
        }
    };
    let list = |items: &[String]| (!items.is_empty()).then(|| json!(items));
    put("event_types", rules.event_types.as_ref().map(|types| json!(types)));
    put("rate_limit", rules.rate.map(|rate| json!(rate.to_string())));
    put("body_limit", rules.body_limit_bytes.map(|bytes| json!(format!("{bytes}B"))));
    put("required", list(&rules.required));
    put("on_invalid", rules.accept_invalid.then(|| json!("accept")));
    put("allow_ips", list(&rules.allow_ips));
    put("tolerance", rules.tolerance_ms.map(|ms| json!(duration(ms))));
    put("quiet_after", rules.quiet_after_ms.map(|ms| json!(duration(ms))));
    let mut dedupe = Map::new();
    let parts = [
        ("enabled", rules.dedupe_enabled.map(|enabled| json!(enabled))),
        ("window", rules.dedupe_window_ms.map(|ms| json!(duration(ms)))),
        ("hash_window", rules.dedupe_hash_window_ms.map(|ms| json!(duration(ms)))),
        ("id", rules.dedupe_id.as_ref().map(|place| json!(place))),
    ];
    dedupe.extend(parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    put("dedupe", (!dedupe.is_empty()).then_some(Json::Object(dedupe)));
}

/// A problem of the file's reader, without the place in a file that nobody wrote.
fn of_rules(problem: &Problem) -> RuleProblem {
    let key = problem.key.strip_prefix("source[0].").unwrap_or_default();
    let hint = problem.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
    let message = problem.message.replace("source[0].", "");
    RuleProblem { key: key.to_owned(), message: format!("{message}{hint}") }
}

#[cfg(test)]
mod tests {
    use becket_model::Rate;

    use super::*;

    fn made(rules: &SourceRules) -> Result<Source, Vec<RuleProblem>> {
        Source::from_api(ApiSource {
            id: "src_1",
            provider: "github",
            secrets: Vec::new(),
            public_key: None,
            credentials: BTreeMap::new(),
            rules: Some(rules),
        })
    }

    #[test]
    fn rules_mean_what_the_file_means() {
        let rules = SourceRules {
            event_types: Some(vec!["push".to_owned(), "issues.*".to_owned()]),
            rate: Some(Rate { count: 30, period_ms: 60_000 }),
            body_limit_bytes: Some(2_048),
            required: vec!["data.id".to_owned()],
            schema: Some(json!({ "properties": { "a": { "enum": [null, 1e300] } } })),
            accept_invalid: true,
            dedupe_enabled: Some(true),
            dedupe_window_ms: Some(3_600_000),
            dedupe_hash_window_ms: Some(1_500),
            dedupe_id: Some("json:data.id".to_owned()),
            allow_ips: vec!["192.0.2.0/24".to_owned(), "::1".to_owned()],
            tolerance_ms: Some(60_000),
            quiet_after_ms: Some(86_400_000),
        };
        let source = made(&rules).unwrap();
        let text = r#"
            [[source]]
            id = "src_1"
            provider = "github"
            secrets = ["s"]
            event_types = ["push", "issues.*"]
            rate_limit = "30/min"
            body_limit = "2KiB"
            required = ["data.id"]
            on_invalid = "accept"
            allow_ips = ["192.0.2.0/24", "::1"]
            tolerance = "60s"
            quiet_after = "1d"
            dedupe = { window = "1h", hash_window = "1500ms", id = "json:data.id" }
        "#;
        let mut declared = parse(text).unwrap().config.sources.remove(0);
        declared.secrets.clear();
        declared.schema = BodySchema::of(rules.schema.unwrap()).ok();
        assert_eq!(source, declared);
    }

    #[test]
    fn without_rules_everything_is_as_in_a_file_that_says_nothing() {
        let source = made(&SourceRules::default()).unwrap();
        let text = "[[source]]\nid = \"src_1\"\nprovider = \"github\"\nsecrets = [\"s\"]\n";
        let mut declared = parse(text).unwrap().config.sources.remove(0);
        declared.secrets.clear();
        assert_eq!(source, declared);
    }

    #[test]
    fn every_wrong_rule_is_named() {
        let rules = SourceRules {
            body_limit_bytes: Some(0),
            required: vec![String::new()],
            schema: Some(json!({ "type": "strin" })),
            dedupe_id: Some("nowhere".to_owned()),
            allow_ips: vec!["10.0.0.1/8".to_owned()],
            ..SourceRules::default()
        };
        let problems = made(&rules).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        for key in ["dedupe.id", "allow_ips[0]", "schema"] {
            assert!(keys.contains(&key), "{key} in {problems:?}");
        }
        let rules = SourceRules { allow_ips: Vec::new(), dedupe_id: None, ..rules };
        let problems = made(&rules).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["body_limit", "required", "schema"], "{problems:?}");
        assert!(problems.iter().all(|problem| !problem.message.contains("source[0]")));
    }
}
