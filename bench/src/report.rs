//! Figures beside their aims, as a table and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Result, doing};
use crate::machine::Machine;

/// What was aimed at.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
    /// Less than this.
    Below(f64),
}

impl Aim {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(aim) => value >= aim,
            Self::AtMost(aim) => value <= aim,
            Self::Below(aim) => value < aim,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtLeast(aim) => format!(">= {}", number(aim)),
            Self::AtMost(aim) => format!("<= {}", number(aim)),
            Self::Below(aim) => format!("< {}", number(aim)),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// Which part of the run it belongs to.
    pub part: &'static str,
    /// What it is.
    pub what: String,
    /// The median of the rounds, or the only value; none if it could not be measured.
    pub value: Option<f64>,
    /// Its unit; empty for a ratio.
    pub unit: &'static str,
    /// What was aimed at.
    pub aim: Option<Aim>,
    /// Whether that was reached.
    pub met: Option<bool>,
    /// The value of each round.
    pub rounds: Vec<f64>,
    /// What has to be known to read it.
    pub note: Option<String>,
}

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where and when.
    pub machine: Machine,
    /// The load averages when the run ended.
    pub load_after: String,
    /// The figures, in the order in which they were measured.
    pub figures: Vec<Figure>,
    /// Everything else that was seen, by part.
    pub details: serde_json::Map<String, Value>,
}

impl Report {
    /// Nothing has been measured yet.
    pub fn new(machine: Machine) -> Self {
        let (load_after, details) = (String::new(), serde_json::Map::new());
        Self { machine, load_after, figures: Vec::new(), details }
    }

    /// Adds a figure with the values of its rounds, and prints it.
    pub fn add(
        &mut self,
        part: &'static str,
        what: impl Into<String>,
        rounds: &[f64],
        unit: &'static str,
        aim: Option<Aim>,
    ) {
        let value = median(rounds);
        let met = aim.map(|aim| value.is_some_and(|value| aim.is_met(value)));
        let (what, rounds) = (what.into(), rounds.to_vec());
        let figure = Figure { part, what, value, unit, aim, met, rounds, note: None };
        println!("{}", row(&figure));
        self.figures.push(figure);
    }

    /// Adds what has to be known to read the last figure.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        println!("      {note}");
        if let Some(last) = self.figures.last_mut() {
            let notes = last.note.take().into_iter().chain([note]);
            last.note = Some(notes.collect::<Vec<_>>().join("; "));
        }
    }

    /// Adds what else was seen.
    pub fn detail(&mut self, name: &str, value: Value) {
        self.details.insert(name.to_owned(), value);
    }

    /// Prints all of it once more.
    pub fn print(&self) {
        let machine = &self.machine;
        println!(
            "\n{} cores ({}), {} MiB, {}, {}, commit {}, load {} before and {} after",
            machine.cores,
            machine.processor,
            machine.memory_mib,
            machine.kernel,
            machine.date,
            machine.commit,
            machine.load_before,
            self.load_after,
        );
        println!("{}", heading());
        for figure in &self.figures {
            println!("{}", row(figure));
            if let Some(note) = &figure.note {
                println!("      {note}");
            }
        }
        let missed = self.figures.iter().filter(|figure| figure.met == Some(false)).count();
        let aimed = self.figures.iter().filter(|figure| figure.met.is_some()).count();
        println!("{} of {aimed} aims met, {missed} missed", aimed - missed);
    }

    /// Writes it as JSON.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| doing("writing the results")(error.into()))?;
        text.push('\n');
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(doing("making the folder for results"))?;
        }
        std::fs::write(path, text).map_err(doing(format!("writing {}", path.display())))
    }
}

/// The heading of the table.
pub fn heading() -> String {
    format!("{:<5} {:<58} {:>10} {:<4} {:>8} {:<6}  rounds", "part", "what", "value", "", "aim", "")
}

fn row(figure: &Figure) -> String {
    let value = figure.value.map_or("-".to_owned(), number);
    let aim = figure.aim.map(Aim::words).unwrap_or_default();
    let verdict = match figure.met {
        None => "",
        Some(true) => "met",
        Some(false) => "MISSED",
    };
    let (part, what, unit) = (figure.part, &figure.what, figure.unit);
    let mut row = format!("{part:<5} {what:<58} {value:>10} {unit:<4} {aim:>8} {verdict:<6} ");
    if figure.rounds.len() > 1 {
        for round in &figure.rounds {
            // Writing to a string cannot fail.
            let _ = write!(row, " {}", number(*round));
        }
    }
    row.trim_end().to_owned()
}

/// Three digits that count, and no more.
fn number(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(upper, sorted[sorted.len() / 2 - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_aims() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert!(Aim::AtLeast(0.5).is_met(0.5));
        assert!(!Aim::Below(100.0).is_met(100.0));
        assert!(Aim::AtMost(100.0).is_met(100.0));
    }
}
