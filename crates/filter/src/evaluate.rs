//! Asking a compiled filter about an event.
//!
//! Invariant: every pair of a node and a value is looked at no more than once, and what a look costs
//! is bounded by the two, so the whole is bounded by the product of their sizes. What is looked up in
//! the event itself (`$ref`) is remembered for that reason.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use crate::compile::{Comparison, Compiled, Group, Kind, Node, Operand};
use crate::json::{Json, deep_equal};
use crate::number::{loosely_equal, order};
use crate::reference::Followed;
use crate::subject::Subject;

/// What was found where a condition did not hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found<'j> {
    /// The event as a whole.
    Event,
    Missing,
    Value(&'j Json<'j>),
}

/// The condition that did not hold.
#[derive(Debug)]
pub(crate) struct Fail<'f, 'j> {
    pub(crate) node: &'f Node,
    pub(crate) found: Found<'j>,
    /// The value a reference led to.
    pub(crate) target: Option<&'j Json<'j>>,
}

type Outcome<'f, 'j> = Result<(), Fail<'f, 'j>>;

impl<'j> From<Option<&'j Json<'j>>> for Found<'j> {
    fn from(value: Option<&'j Json<'j>>) -> Self {
        value.map_or(Self::Missing, Self::Value)
    }
}

/// A simple value that can be found in a set: types are told apart.
#[derive(PartialEq, Eq, Hash)]
enum Member<'j> {
    Null,
    Bool(bool),
    Number(u8, u64),
    Text(&'j str),
}

impl<'j> Member<'j> {
    fn of(value: &'j Json<'_>) -> Option<Self> {
        match value {
            Json::Null => Some(Self::Null),
            Json::Bool(value) => Some(Self::Bool(*value)),
            Json::Number(number) => {
                let (form, bits) = number.canonical();
                Some(Self::Number(form, bits))
            }
            Json::Text(text) => Some(Self::Text(text)),
            Json::List(_) | Json::Object(_) => None,
        }
    }
}

pub(crate) struct Evaluator<'f, 'j, 'a> {
    filter: &'f Compiled,
    subject: &'j Subject<'a>,
    /// The part of the event that is being looked at.
    root: Option<&'j Json<'j>>,
    /// The places in the lists that are being gone through.
    indexes: Vec<usize>,
    followed: Vec<Followed<'j>>,
    /// Lists of the event as sets, by their address.
    sets: HashMap<usize, HashSet<Member<'j>>>,
    /// Nodes, values and names looked at, and a step for every 16 bytes of text compared.
    pub(crate) steps: u64,
}

impl<'f, 'j, 'a> Evaluator<'f, 'j, 'a> {
    pub(crate) fn new(filter: &'f Compiled, subject: &'j Subject<'a>) -> Self {
        Self {
            filter,
            subject,
            root: None,
            indexes: Vec::new(),
            followed: filter.references.iter().map(|_| Followed::default()).collect(),
            sets: HashMap::new(),
            steps: 0,
        }
    }

    pub(crate) fn run(&mut self) -> Outcome<'f, 'j> {
        let filter = self.filter;
        self.event(&filter.top)
    }

    /// A condition about the whole event.
    fn event(&mut self, node: &'f Node) -> Outcome<'f, 'j> {
        self.steps += 1;
        let fail = Fail { node, found: Found::Event, target: None };
        match &node.kind {
            Kind::And(all) => all.iter().try_for_each(|node| self.event(node)),
            Kind::Or(any) => {
                if any.iter().any(|node| self.event(node).is_ok()) {
                    Ok(())
                } else {
                    Err(fail)
                }
            }
            Kind::Not(inner) => {
                if self.event(inner).is_ok() {
                    Err(fail)
                } else {
                    Ok(())
                }
            }
            Kind::Part(part, inner) => {
                let value = self.subject.part(*part);
                self.root = value;
                self.indexes.clear();
                self.value(inner, value)
            }
            // The compiler puts nothing else here; asked of no value, it does not hold.
            _ => self.value(node, None),
        }
    }

    fn value(&mut self, node: &'f Node, value: Option<&'j Json<'j>>) -> Outcome<'f, 'j> {
        self.steps += 1;
        let mut target = None;
        let holds = match &node.kind {
            Kind::Simple(wanted) => value.is_some_and(|value| self.contains(value, wanted)),
            Kind::List(wanted) => return self.list(node, wanted, value),
            Kind::Object(group) => return self.group(node, group, value),
            Kind::Field(name, inner) => {
                let (field, looked) = value.map_or((None, 1), |value| value.field(name));
                self.steps += looked as u64;
                return self.value(inner, field);
            }
            Kind::And(all) => return all.iter().try_for_each(|node| self.value(node, value)),
            Kind::Or(any) => any.iter().any(|node| self.value(node, value).is_ok()),
            Kind::Not(inner) => self.value(inner, value).is_err(),
            Kind::Exist(wanted) => value.is_some() == *wanted,
            Kind::Same(reference) => return self.same(node, *reference, value),
            Kind::Equal { operand, negated } => {
                target = self.target(operand);
                value.is_some_and(|value| {
                    let wanted = literal(operand).or(target);
                    wanted.is_some_and(|wanted| self.equal(value, wanted)) != *negated
                })
            }
            Kind::Order(comparison, operand) => {
                target = self.target(operand);
                match (value, literal(operand).or(target)) {
                    (Some(value), Some(wanted)) => self.ordered(*comparison, value, wanted),
                    _ => false,
                }
            }
            Kind::In { operand, negated } => {
                target = self.target(operand);
                let found = match (value, literal(operand), target) {
                    (Some(value), Some(wanted), _) => self.is_in(value, wanted),
                    (Some(value), None, Some(Json::List(items))) => self.is_listed(value, items),
                    (Some(value), None, Some(wanted)) => self.is_in(value, wanted),
                    _ => None,
                };
                found.is_some_and(|found| found != *negated)
            }
            Kind::Starts(operand) => {
                target = self.target(operand);
                self.affix(value, literal(operand), target, |text, affix| text.starts_with(affix))
            }
            Kind::Ends(operand) => {
                target = self.target(operand);
                self.affix(value, literal(operand), target, |text, affix| text.ends_with(affix))
            }
            // Parts stand only at the top.
            Kind::Part(..) => false,
        };
        if holds { Ok(()) } else { Err(Fail { node, found: value.into(), target }) }
    }

    fn group(
        &mut self,
        node: &'f Node,
        group: &'f Group,
        value: Option<&'j Json<'j>>,
    ) -> Outcome<'f, 'j> {
        for condition in &group.whole {
            self.value(condition, value)?;
        }
        if group.each.is_empty() && !group.needs_object {
            return Ok(());
        }
        self.each(node, group, value)
    }

    /// What an object asks of a value, or of one item of a list.
    fn each(
        &mut self,
        node: &'f Node,
        group: &'f Group,
        value: Option<&'j Json<'j>>,
    ) -> Outcome<'f, 'j> {
        self.steps += 1;
        let fail = Fail { node, found: value.into(), target: None };
        match value {
            Some(Json::List(items)) => self
                .any_item(items, fail, |evaluator, item| evaluator.each(node, group, Some(item))),
            Some(Json::Object(_)) => self.all(&group.each, value),
            // For a field of nothing the field itself is named: it says more.
            None if group.needs_object && !group.each.is_empty() => {
                self.all(&group.each, value).and(Err(fail))
            }
            _ if group.needs_object => Err(fail),
            _ => self.all(&group.each, value),
        }
    }

    fn all(&mut self, conditions: &'f [Node], value: Option<&'j Json<'j>>) -> Outcome<'f, 'j> {
        conditions.iter().try_for_each(|condition| self.value(condition, value))
    }

    /// Whether something holds for an item. With only one item, its own failure says most.
    fn any_item(
        &mut self,
        items: &'j [Json<'j>],
        fail: Fail<'f, 'j>,
        mut check: impl FnMut(&mut Self, &'j Json<'j>) -> Outcome<'f, 'j>,
    ) -> Outcome<'f, 'j> {
        let mut last = fail;
        self.indexes.push(0);
        for (index, item) in items.iter().enumerate() {
            if let Some(place) = self.indexes.last_mut() {
                *place = index;
            }
            match check(self, item) {
                Ok(()) => {
                    self.indexes.pop();
                    return Ok(());
                }
                Err(inner) if items.len() == 1 => last = inner,
                Err(_) => {}
            }
        }
        self.indexes.pop();
        Err(last)
    }

    fn list(
        &mut self,
        node: &'f Node,
        wanted: &'f [Node],
        value: Option<&'j Json<'j>>,
    ) -> Outcome<'f, 'j> {
        let Some(Json::List(items)) = value else {
            return Err(Fail { node, found: value.into(), target: None });
        };
        for condition in wanted {
            self.steps += 1;
            let fail = Fail { node: condition, found: value.into(), target: None };
            self.any_item(items, fail, |evaluator, item| evaluator.value(condition, Some(item)))?;
        }
        Ok(())
    }

    /// Whether a value is equal to a simple one, or a list contains one that is.
    fn contains(&mut self, value: &Json<'_>, wanted: &Json<'_>) -> bool {
        self.steps += 1;
        match value {
            Json::List(items) => items.iter().any(|item| self.contains(item, wanted)),
            value => self.simply_equal(value, wanted),
        }
    }

    /// The same with a value of the event; a list there is compared as a whole.
    fn same(
        &mut self,
        node: &'f Node,
        reference: usize,
        value: Option<&'j Json<'j>>,
    ) -> Outcome<'f, 'j> {
        let target = self.follow(reference);
        let fail = Fail { node, found: value.into(), target };
        match (value, target) {
            (Some(value), Some(target)) if self.equal(value, target) => Ok(()),
            (Some(Json::List(items)), target) if !matches!(target, Some(Json::List(_))) => self
                .any_item(items, fail, |evaluator, item| {
                    evaluator.same(node, reference, Some(item))
                }),
            _ => Err(fail),
        }
    }

    fn simply_equal(&mut self, left: &Json<'_>, right: &Json<'_>) -> bool {
        self.texts(left, right);
        loosely_equal(left, right)
    }

    fn equal(&mut self, left: &Json<'_>, right: &Json<'_>) -> bool {
        if left.is_container() || right.is_container() {
            deep_equal(left, right, &mut self.steps)
        } else {
            self.simply_equal(left, right)
        }
    }

    fn ordered(&mut self, comparison: Comparison, left: &Json<'_>, right: &Json<'_>) -> bool {
        self.texts(left, right);
        let order = order(left, right);
        match comparison {
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
        }
    }

    /// Counts what comparing two texts may cost.
    fn texts(&mut self, left: &Json<'_>, right: &Json<'_>) {
        if let (Json::Text(left), Json::Text(right)) = (left, right) {
            self.steps += left.len().min(right.len()) as u64 / 16;
        }
    }

    /// Whether a value is in a list, or has a text in it; `None` if that cannot be asked of it.
    fn is_in(&mut self, value: &Json<'_>, wanted: &Json<'_>) -> Option<bool> {
        match (value, wanted) {
            (Json::List(_) | Json::Object(_), _) => None,
            (value, Json::List(items)) => {
                let member = Member::of(value)?;
                self.steps += items.len() as u64;
                Some(items.iter().any(|item| Member::of(item).as_ref() == Some(&member)))
            }
            (Json::Text(text), Json::Text(part)) => {
                self.steps += text.len() as u64 / 16;
                Some(text.len() >= part.len() && text.contains(&**part))
            }
            (Json::Text(text), Json::Number(number)) => Some(text.contains(&number.to_string())),
            _ => None,
        }
    }

    /// Whether a value is in a list of the event. The list becomes a set the first time, because it
    /// may be asked for every item of another list.
    fn is_listed(&mut self, value: &'j Json<'j>, items: &'j [Json<'j>]) -> Option<bool> {
        let member = Member::of(value)?;
        let steps = &mut self.steps;
        let set = self.sets.entry(items.as_ptr() as usize).or_insert_with(|| {
            *steps += items.len() as u64;
            items.iter().filter_map(Member::of).collect()
        });
        Some(set.contains(&member))
    }

    fn affix(
        &mut self,
        value: Option<&Json<'_>>,
        literal: Option<&Json<'_>>,
        target: Option<&Json<'_>>,
        check: impl Fn(&str, &str) -> bool,
    ) -> bool {
        let Some(Json::Text(text)) = value else { return false };
        self.steps += 1;
        match (literal, target) {
            (Some(Json::List(items)), _) => {
                self.steps += items.len() as u64;
                items.iter().any(|item| matches!(item, Json::Text(affix) if check(text, affix)))
            }
            (Some(Json::Text(affix)), _) | (None, Some(Json::Text(affix))) => check(text, affix),
            _ => false,
        }
    }

    fn target(&mut self, operand: &Operand) -> Option<&'j Json<'j>> {
        match operand {
            Operand::Literal(_) => None,
            Operand::Reference(reference) => self.follow(*reference),
        }
    }

    fn follow(&mut self, reference: usize) -> Option<&'j Json<'j>> {
        let path = &self.filter.references[reference];
        self.followed[reference].follow(path, self.root, &self.indexes, &mut self.steps)
    }
}

const fn literal(operand: &Operand) -> Option<&Json<'static>> {
    match operand {
        Operand::Literal(literal) => Some(literal),
        Operand::Reference(_) => None,
    }
}
