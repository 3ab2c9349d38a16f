//! Trigger rules, taken apart: what proves the sender, which addresses may send, and what the event
//! must be like.

use serde_json::{Map, Value, json};

use super::parameter::{Parameter, Source, Step, is_header, steps};
use super::pattern;
use super::read::{Fields, Written};

/// A rule as it is in the file.
#[derive(Debug, Clone, PartialEq)]
enum Rule {
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
    Signature(Signature),
    Addresses(Vec<String>),
    Value { at: Parameter, wanted: Written },
    Pattern { at: Parameter, pattern: String },
}

/// A keyed hash of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) digest: &'static str,
    pub(super) at: Parameter,
    pub(super) secrets: Vec<Written>,
    /// Whether it is Scalr's: the header Date is signed behind the body, and nothing stands before
    /// the signature.
    pub(super) scalr: bool,
}

/// A text that sender and receiver share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) at: Parameter,
    pub(super) secrets: Vec<Written>,
}

/// What a trigger rule comes to. All of it must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Trigger {
    pub(super) signature: Option<Signature>,
    pub(super) token: Option<Token>,
    /// Networks that may send; any if empty.
    pub(super) networks: Vec<String>,
    /// Conditions in the syntax of filters.
    pub(super) conditions: Vec<Value>,
    pub(super) notes: Vec<String>,
}

/// Reads a trigger rule and takes it apart.
pub(super) fn trigger(fields: &Fields<'_>) -> Result<Trigger, String> {
    let mut trigger = Trigger::default();
    let mut parts = Vec::new();
    flatten(read(fields, 0)?, &mut parts);
    for rule in parts {
        trigger.require(rule)?;
    }
    Ok(trigger)
}

const DEPTH_MAX: usize = 32;

fn read(fields: &Fields<'_>, depth: usize) -> Result<Rule, String> {
    if depth > DEPTH_MAX {
        return Err("its rules are nested too deeply".to_owned());
    }
    let each = |name: &str| -> Result<Vec<Rule>, String> {
        let rules = fields.list(name)?;
        rules.into_iter().map(|rule| read(&fields.inner(rule), depth + 1)).collect()
    };
    // The first that is there counts, in this order.
    if fields.get("and").is_some() {
        return Ok(Rule::All(each("and")?));
    }
    if fields.get("or").is_some() {
        return Ok(Rule::Any(each("or")?));
    }
    if let Some(inner) = fields.get("not") {
        return Ok(Rule::Not(Box::new(read(&fields.inner(inner), depth + 1)?)));
    }
    match fields.get("match") {
        Some(matched) => read_match(&fields.inner(matched)),
        None => Err("a rule is empty: it never holds".to_owned()),
    }
}

fn read_match(fields: &Fields<'_>) -> Result<Rule, String> {
    let kind = fields.text("type")?.unwrap_or_default();
    let secret = |name: &str| {
        fields.secret(name)?.ok_or_else(|| format!("a rule of type `{kind}` has no `{name}`"))
    };
    let parameter = || match fields.get("parameter") {
        Some(value) => Parameter::read(&fields.inner(value)),
        None => Err(format!("a rule of type `{kind}` has no `parameter`")),
    };
    let signed = |digest| -> Result<Rule, String> {
        let secrets = vec![secret("secret")?];
        Ok(Rule::Signature(Signature { digest, at: parameter()?, secrets, scalr: false }))
    };
    match kind.as_str() {
        "value" => {
            let empty = Written::Text(String::new());
            Ok(Rule::Value { at: parameter()?, wanted: fields.secret("value")?.unwrap_or(empty) })
        }
        "regex" => Ok(Rule::Pattern {
            at: parameter()?,
            pattern: fields.text("regex")?.unwrap_or_default(),
        }),
        "payload-hmac-sha1" | "payload-hash-sha1" => signed("sha1"),
        "payload-hmac-sha256" | "payload-hash-sha256" => signed("sha256"),
        "payload-hmac-sha512" | "payload-hash-sha512" => signed("sha512"),
        "scalr-signature" => Ok(Rule::Signature(Signature {
            digest: "sha1",
            at: Parameter {
                source: Source::Header,
                name: "X-Signature".to_owned(),
                variable: None,
                signed_headers: vec!["Date".to_owned()],
                written: None,
            },
            secrets: vec![secret("secret")?],
            scalr: true,
        })),
        "ip-whitelist" => {
            let ranges = fields.text("ip-range")?.unwrap_or_default();
            Ok(Rule::Addresses(ranges.split_whitespace().map(network).collect::<Result<_, _>>()?))
        }
        other => Err(format!("`{other}` is no type of rule")),
    }
}

fn flatten(rule: Rule, parts: &mut Vec<Rule>) {
    match rule {
        Rule::All(rules) => rules.into_iter().for_each(|rule| flatten(rule, parts)),
        Rule::Any(mut rules) if rules.len() == 1 => {
            rules.drain(..).for_each(|rule| flatten(rule, parts));
        }
        other => parts.push(other),
    }
}

/// `10.0.0.7/8` is the network that the address is in.
fn network(range: &str) -> Result<String, String> {
    let wrong = || format!("`{range}` is no network");
    let (address, bits) = match range.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| wrong())?)),
        None => (range, None),
    };
    match address.parse().map_err(|_| wrong())? {
        std::net::IpAddr::V4(address) => {
            let bits = bits.unwrap_or(32);
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits).ok_or_else(wrong)?);
            let first = std::net::Ipv4Addr::from(u32::from(address) & mask.unwrap_or(0));
            Ok(format!("{first}/{bits}"))
        }
        std::net::IpAddr::V6(address) => {
            let bits = bits.unwrap_or(128);
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits).ok_or_else(wrong)?);
            let first = std::net::Ipv6Addr::from(u128::from(address) & mask.unwrap_or(0));
            Ok(format!("{first}/{bits}"))
        }
    }
}

impl Trigger {
    fn require(&mut self, rule: Rule) -> Result<(), String> {
        match merged(rule) {
            Rule::Signature(signature) => self.require_signature(signature),
            Rule::Addresses(networks) if self.networks.is_empty() => {
                self.networks = networks;
                Ok(())
            }
            Rule::Addresses(_) => Err("two lists of addresses must both hold".to_owned()),
            Rule::Value { at, wanted } if is_secret(&at) => self.require_token(at, vec![wanted]),
            Rule::Any(rules) => match tokens(&rules) {
                Some((at, secrets)) => self.require_token(at, secrets),
                None => self.condition(&Rule::Any(rules)),
            },
            other => self.condition(&other),
        }
    }

    fn condition(&mut self, rule: &Rule) -> Result<(), String> {
        let condition = condition(rule, &mut self.notes)?;
        self.conditions.push(condition);
        Ok(())
    }

    fn require_signature(&mut self, signature: Signature) -> Result<(), String> {
        let strength =
            |digest: &str| ["sha1", "sha256", "sha512"].iter().position(|d| *d == digest);
        match &mut self.signature {
            None => self.signature = Some(signature),
            Some(known) => {
                let weaker = if strength(signature.digest) > strength(known.digest) {
                    std::mem::replace(known, signature)
                } else {
                    signature
                };
                self.notes.push(format!(
                    "it demanded two signatures; the one in {} ({}) is not checked any more",
                    weaker.at.words(),
                    weaker.digest
                ));
            }
        }
        Ok(())
    }

    fn require_token(&mut self, at: Parameter, secrets: Vec<Written>) -> Result<(), String> {
        if let Some(known) = &self.token {
            return Err(format!(
                "it compares two secrets, {} and {}; a source checks one",
                known.at.words(),
                at.words()
            ));
        }
        self.token = Some(Token { at, secrets });
        Ok(())
    }
}

/// Alternatives that are the same check with other secrets or addresses become one.
fn merged(rule: Rule) -> Rule {
    let Rule::Any(rules) = rule else { return rule };
    let mut all = rules.clone().into_iter();
    let merged = all.next().and_then(|first| {
        all.try_fold(first, |merged, rule| match (merged, rule) {
            (Rule::Signature(mut one), Rule::Signature(other))
                if one.at == other.at && one.digest == other.digest && one.scalr == other.scalr =>
            {
                one.secrets.extend(other.secrets);
                Some(Rule::Signature(one))
            }
            (Rule::Addresses(mut one), Rule::Addresses(other)) => {
                one.extend(other);
                Some(Rule::Addresses(one))
            }
            _ => None,
        })
    });
    merged.unwrap_or(Rule::Any(rules))
}

/// Alternatives that all compare the same value with a secret.
fn tokens(rules: &[Rule]) -> Option<(Parameter, Vec<Written>)> {
    let mut found: Option<(Parameter, Vec<Written>)> = None;
    for rule in rules {
        let Rule::Value { at, wanted } = rule else { return None };
        if !is_secret(at) {
            return None;
        }
        match &mut found {
            None => found = Some((at.clone(), vec![wanted.clone()])),
            Some((known, secrets)) if known == at => secrets.push(wanted.clone()),
            Some(_) => return None,
        }
    }
    found
}

/// Whether what is compared is a secret, by its name.
fn is_secret(at: &Parameter) -> bool {
    if !matches!(at.source, Source::Header | Source::Query | Source::Payload) {
        return false;
    }
    let last = at.name.rsplit('.').next().unwrap_or_default().to_lowercase();
    let mut words = last.split(|c: char| !c.is_alphanumeric());
    // In payloads a `key` is usually the name of a thing, such as an issue.
    let short: &[&str] = match at.source {
        Source::Payload => &["pass", "pw", "pwd"],
        _ => &["key", "pass", "pw", "pwd", "sig"],
    };
    let long = ["token", "secret", "password", "passwd", "apikey", "auth", "signature"];
    words.any(|word| short.contains(&word))
        || long.iter().any(|part| last.contains(part))
        || last.replace(['-', '_'], "").contains("apikey")
}

/// A rule without checks of the sender, in the syntax of filters.
fn condition(rule: &Rule, notes: &mut Vec<String>) -> Result<Value, String> {
    let mut each = |rules: &[Rule]| -> Result<Vec<Value>, String> {
        rules.iter().map(|rule| condition(rule, notes)).collect()
    };
    match rule {
        Rule::All(rules) if rules.is_empty() => Err("an empty `and` has no counterpart".to_owned()),
        Rule::Any(rules) if rules.is_empty() => Err("an empty `or` never holds".to_owned()),
        Rule::All(rules) => Ok(json!({ "$and": each(rules)? })),
        Rule::Any(rules) => Ok(json!({ "$or": each(rules)? })),
        Rule::Not(rule) => Ok(json!({ "$not": condition(rule, notes)? })),
        Rule::Signature(_) => Err("a signature is one of several ways to be let in, or must not \
                                   hold; a source demands it or does not"
            .to_owned()),
        Rule::Addresses(_) => Err("an address is one of several ways to be let in, or must not \
                                   hold; a source's `allow_ips` is for all of its events"
            .to_owned()),
        Rule::Value { at, .. } if is_secret(at) => Err(format!(
            "{} looks like a secret, and it is one of several ways to be let in; a filter is no \
             place for secrets",
            at.words()
        )),
        Rule::Value { at, wanted: Written::Text(wanted) } => {
            let condition = match wanted.as_str() {
                "true" | "false" => json!({ "$or": [wanted, wanted == "true"] }),
                _ => json!(wanted),
            };
            place(at, condition)
        }
        Rule::Value { at, wanted: Written::Variable(name) } => {
            Err(format!("{} is compared with the variable {name}", at.words()))
        }
        Rule::Pattern { at, pattern } => {
            let (condition, dots) = pattern::condition(pattern).ok_or_else(|| {
                format!("the regular expression `{pattern}` means more than filters can say")
            })?;
            if dots {
                notes.push(format!("in `{pattern}` a `.` now stands for itself"));
            }
            place(at, condition)
        }
    }
}

/// A condition at the place of a value.
fn place(at: &Parameter, condition: Value) -> Result<Value, String> {
    let object = |name: &str, value: Value| -> Value {
        // A name that looks like an operator is written with a second `$`.
        let name = if name.starts_with('$') { format!("${name}") } else { name.to_owned() };
        Value::Object(Map::from_iter([(name, value)]))
    };
    match at.source {
        Source::Header if is_header(&at.name) => {
            Ok(json!({ "headers": object(&at.name.to_lowercase(), condition) }))
        }
        Source::Query => Ok(json!({ "query": object(&at.name, condition) })),
        Source::Payload => {
            let steps: Vec<Step<'_>> = steps(&at.name).collect();
            let mut value = condition;
            for step in steps.iter().rev() {
                let Step::Name(name) = step else {
                    return Err(format!(
                        "{} is a place in a list by its number; filters look at all of a list",
                        at.words()
                    ));
                };
                value = object(name, value);
            }
            Ok(json!({ "body": value }))
        }
        Source::Request if at.name.eq_ignore_ascii_case("method") => {
            Ok(json!({ "method": condition }))
        }
        _ => Err(format!("filters cannot look at {}", at.words())),
    }
}
