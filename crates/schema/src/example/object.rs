//! Objects: which properties are there, and what they hold.

use super::merge::{Placed, Rules};
use super::{Fields, Maker, Problem, Style};

/// The most properties that are made up to reach `minProperties`.
const MOST_MADE_UP: u64 = 1_000;

impl<'a> Maker<'a> {
    /// An object by the merged rules.
    pub(crate) fn object(
        &mut self,
        rules: &Rules<'a>,
        here: &str,
        style: Style,
    ) -> Result<Fields, Problem> {
        let mut fields = Fields::new();
        let mut declared: Vec<&str> = Vec::new();
        for (name, _) in rules.objects.iter().flat_map(|rule| &rule.named) {
            if !declared.contains(name) {
                declared.push(name);
            }
        }
        let required_only = |name: &&str| !declared.contains(name);
        let extra: Vec<&str> = rules.required.iter().copied().filter(required_only).collect();
        let most = rules.properties_most.unwrap_or(u64::MAX);
        let mut room = most.saturating_sub(rules.required.len() as u64);
        for name in declared.into_iter().chain(extra) {
            let required = rules.required.contains(&name);
            if !required && (!style.optional || room == 0) {
                continue;
            }
            match self.property(rules, here, name, style) {
                Ok(value) => {
                    fields.insert(name.to_owned(), value);
                    room = room.saturating_sub(u64::from(!required));
                }
                Err(problem) if required => return Err(problem),
                // What is optional and cannot be made, such as a part that contains itself, is left out.
                Err(_) => {}
            }
        }
        self.made_up(rules, here, style, &mut fields)?;
        Ok(fields)
    }

    fn property(
        &mut self,
        rules: &Rules<'a>,
        here: &str,
        name: &str,
        style: Style,
    ) -> Result<serde_json::Value, Problem> {
        let schemas = self.schemas_of(rules, here, name)?;
        let value = self.value(&schemas, name, style.pick);
        value.map_err(|mut problem| {
            if problem.at.is_empty() {
                here.clone_into(&mut problem.at);
            }
            problem
        })
    }

    /// The schemas that apply to a property, by its name.
    fn schemas_of(
        &mut self,
        rules: &Rules<'a>,
        here: &str,
        name: &str,
    ) -> Result<Vec<Placed<'a>>, Problem> {
        let mut schemas = Vec::new();
        for rule in &rules.objects {
            let mut named = false;
            if let Some((_, placed)) = rule.named.iter().find(|(own, _)| *own == name) {
                schemas.push(placed.clone());
                named = true;
            }
            for (pattern, placed) in &rule.matching {
                if self.matches(pattern, name) {
                    schemas.push(placed.clone());
                    named = true;
                }
            }
            if !named && let Some(others) = &rule.others {
                schemas.push(others.clone());
            }
        }
        if schemas.is_empty() {
            let leftover = rules.objects.iter().filter_map(|rule| rule.leftover.as_ref());
            schemas.extend(leftover.cloned());
        }
        if schemas.iter().any(|placed| placed.schema == &serde_json::Value::Bool(false)) {
            let words = format!(
                "the property `{}` is not allowed by one of the schemas that apply here",
                crate::guard::shorten(name)
            );
            return Err(Problem::new(here, &words));
        }
        Ok(schemas)
    }

    /// Properties that the schema does not name: to reach `minProperties`, and one to show what a map
    /// of names to values looks like.
    fn made_up(
        &mut self,
        rules: &Rules<'a>,
        here: &str,
        style: Style,
        fields: &mut Fields,
    ) -> Result<(), Problem> {
        let open = |placed: &Placed<'_>| placed.schema.is_object();
        let is_map = rules.objects.iter().any(|rule| {
            rule.named.is_empty()
                && (!rule.matching.is_empty() || rule.others.as_ref().is_some_and(open))
        });
        let sample = u64::from(is_map && style.optional && fields.is_empty());
        let sample = sample.min(rules.properties_most.unwrap_or(u64::MAX));
        if rules.properties_least > MOST_MADE_UP {
            return Err(Problem::new(here, "`minProperties` asks for too many properties"));
        }
        let mut turn = 0;
        while (fields.len() as u64) < rules.properties_least.max(sample) {
            let needed = (fields.len() as u64) < rules.properties_least;
            if turn > 2 * rules.properties_least + 8 {
                if needed {
                    return Err(Problem::new(
                        here,
                        "too few properties are allowed to reach `minProperties`",
                    ));
                }
                break;
            }
            let number = usize::try_from(turn).unwrap_or(0);
            turn += 1;
            let Ok(name) = self.name(rules, number, style) else { continue };
            if fields.contains_key(&name) {
                continue;
            }
            if let Ok(value) =
                self.property(rules, here, &name, Style { pick: style.pick + number, ..style })
            {
                fields.insert(name, value);
            }
        }
        Ok(())
    }

    /// A name for a property that the schema does not name.
    fn name(&mut self, rules: &Rules<'a>, number: usize, style: Style) -> Result<String, Problem> {
        if !rules.names.is_empty() {
            let pick = style.pick + number;
            return match self.value(&rules.names, "", pick)? {
                serde_json::Value::String(name) => Ok(name),
                _ => Err(Problem::new(&rules.names[0].at, "a property's name has to be a text")),
            };
        }
        let patterns: Vec<&str> = rules
            .objects
            .iter()
            .flat_map(|rule| rule.matching.iter().map(|(pattern, _)| *pattern))
            .collect();
        if !patterns.is_empty() {
            let pattern = patterns[number % patterns.len()];
            let turn = number / patterns.len();
            let texts = super::pattern::texts(pattern, turn);
            // A pattern of a fixed text leaves only its surroundings to vary.
            let longer = texts.iter().map(|text| format!("{text}{}", turn + 1)).collect::<Vec<_>>();
            let mut names = if turn == 0 { texts } else { [longer, texts].concat() }.into_iter();
            if let Some(text) = names.find(|text| self.matches(pattern, text)) {
                return Ok(text);
            }
        }
        Ok(if number == 0 { "key".to_owned() } else { format!("key{}", number + 1) })
    }
}
