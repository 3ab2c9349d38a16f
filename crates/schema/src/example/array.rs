//! Arrays: how many items there are, and what they hold.

use serde_json::Value;

use super::merge::{Placed, Rules};
use super::{Maker, Problem, Style};

/// The most items that are made.
const MOST_ITEMS: u64 = 1_000;

/// Values that are tried for an item that has to differ from the others.
const TRIES: usize = 16;

impl<'a> Maker<'a> {
    /// An array by the merged rules.
    pub(crate) fn array(
        &mut self,
        rules: &Rules<'a>,
        here: &str,
        style: Style,
    ) -> Result<Vec<Value>, Problem> {
        let least = rules.items_least;
        let most = rules.items_most.unwrap_or(u64::MAX);
        if least > MOST_ITEMS {
            return Err(Problem::new(
                here,
                &format!("`minItems` asks for more than {MOST_ITEMS} items"),
            ));
        }
        if least > most {
            return Err(Problem::new(here, "`minItems` is more than `maxItems`"));
        }
        let listed = rules.arrays.iter().map(|rule| rule.first.len() as u64).max().unwrap_or(0);
        let described = rules
            .arrays
            .iter()
            .any(|rule| rule.rest.as_ref().is_some_and(|placed| placed.schema.is_object()));
        let wanted = listed.max(u64::from(described)).max(least).min(most);
        let mut items = Vec::new();
        for (placed, times) in &rules.contains {
            self.contained(rules, placed, *times, style, &mut items)?;
        }
        // What has to be contained takes the places at the end, where no schema is for one item only.
        let mut contained = std::mem::take(&mut items);
        let free = wanted.max(contained.len() as u64).min(most);
        let own = free.saturating_sub(contained.len() as u64);
        for index in 0..own {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let others =
                if rules.unique { [items.as_slice(), &contained].concat() } else { Vec::new() };
            match self.item(rules, here, index, style, &others, &[]) {
                Ok(item) => items.push(item),
                Err(problem) if ((items.len() + contained.len()) as u64) < least => {
                    return Err(problem);
                }
                Err(_) => break,
            }
        }
        items.append(&mut contained);
        Ok(items)
    }

    fn contained(
        &mut self,
        rules: &Rules<'a>,
        placed: &Placed<'a>,
        times: u64,
        style: Style,
        items: &mut Vec<Value>,
    ) -> Result<(), Problem> {
        for _ in 0..times.min(MOST_ITEMS) {
            let item = self.item(
                rules,
                &placed.at,
                items.len(),
                style,
                items,
                std::slice::from_ref(placed),
            )?;
            items.push(item);
        }
        Ok(())
    }

    /// One item, different from the others if it has to be.
    fn item(
        &mut self,
        rules: &Rules<'a>,
        here: &str,
        index: usize,
        style: Style,
        others: &[Value],
        also: &[Placed<'a>],
    ) -> Result<Value, Problem> {
        let mut schemas: Vec<Placed<'a>> = also.to_vec();
        for rule in &rules.arrays {
            schemas.extend(rule.first.get(index).or(rule.rest.as_ref()).cloned());
        }
        let mut last = Problem::new(here, "too few different items are possible");
        for turn in 0..TRIES {
            match self.value(&schemas, "", style.pick + index + turn) {
                Ok(item) if rules.unique && others.contains(&item) => {}
                Ok(item) => return Ok(item),
                Err(problem) => {
                    last = problem;
                    break;
                }
            }
        }
        Err(last)
    }
}
