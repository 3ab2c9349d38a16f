//! Numbers within bounds, whole or not, that are multiples of what they have to be multiples of.

use serde_json::{Number, Value};

/// A bound: the number, and whether it is itself excluded.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) number: Number,
    pub(crate) excluded: bool,
}

impl Bound {
    fn approximate(&self) -> f64 {
        self.number.as_f64().unwrap_or(0.0)
    }

    /// The bound as a whole number, rounded into the permitted range. `up` for lower bounds.
    fn whole(&self, up: bool) -> Option<i128> {
        let step = if up { 1 } else { -1 };
        if let Some(exact) = whole(&self.number) {
            return Some(if self.excluded { exact + step } else { exact });
        }
        let number = self.approximate();
        let rounded = if up { number.ceil() } else { number.floor() };
        #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
        (rounded.abs() < 1e18).then_some(rounded as i128)
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// What a number has to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct NumberRules {
    pub(crate) least: Vec<Bound>,
    pub(crate) most: Vec<Bound>,
    pub(crate) multiples: Vec<Number>,
}

impl NumberRules {
    /// The `pick`th whole number that fits, counted from the bound that is there.
    pub(crate) fn integer(&self, pick: usize) -> Result<Value, String> {
        let least = collect(&self.least, true)?.into_iter().max();
        let most = collect(&self.most, false)?.into_iter().min();
        let mut step: i128 = 1;
        for multiple in &self.multiples {
            let multiple = match whole(multiple) {
                Some(exact) => exact.abs(),
                // A fraction such as 0.5: some whole number is a multiple of it.
                None => whole_multiple(multiple)?,
            };
            step = common_multiple(step, multiple.max(1))
                .ok_or_else(|| "the common multiple is too large".to_owned())?;
        }
        let from = match (least, most) {
            (Some(least), _) => least,
            (None, Some(most)) if most < 1 => most - most.rem_euclid(step),
            _ => step,
        };
        let first = from + (step - from.rem_euclid(step)) % step;
        let most = most.unwrap_or(i128::from(i64::MAX));
        let low = least.unwrap_or(i128::from(i64::MIN));
        if first > most || first < low {
            return Err("no whole number lies within the bounds".to_owned());
        }
        let pick = i128::try_from(pick).unwrap_or(0);
        let above = (most - first) / step;
        let below = (first - low) / step;
        let found = if pick <= above {
            first + pick * step
        } else if least.is_none() && pick - above <= below {
            first - (pick - above) * step
        } else {
            first + pick % (above + 1) * step
        };
        let number = i64::try_from(found)
            .map(Number::from)
            .or_else(|_| u64::try_from(found).map(Number::from));
        number
            .map(Value::Number)
            .map_err(|_| "the bounds lie beyond what can be written".to_owned())
    }

    /// The `pick`th number that fits, with a fraction if nothing speaks against it.
    #[expect(
        clippy::cast_precision_loss,
        reason = "an example, checked against the schema afterwards"
    )]
    pub(crate) fn fraction(&self, pick: usize) -> Result<Value, String> {
        let least = self.least.iter().max_by(|a, b| a.approximate().total_cmp(&b.approximate()));
        let most = self.most.iter().min_by(|a, b| a.approximate().total_cmp(&b.approximate()));
        if let Some(multiple) = self.multiples.first() {
            return self.multiple(multiple, least, most, pick);
        }
        let low = least.map(Bound::approximate);
        let high = most.map(Bound::approximate);
        let number = match (low, high) {
            (None, None) => 1.5 + pick as f64,
            (Some(low), None) => low + 0.5 + pick as f64,
            (None, Some(high)) => high - 0.5 - pick as f64,
            (Some(low), Some(high)) if low < high => {
                // 1/2, 1/3, 1/4, ... of the way never leave the range, and never meet a bound.
                low + (high - low) / (pick as f64 + 2.0)
            }
            (Some(low), Some(_)) => low,
        };
        finite(number)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "an example, checked against the schema afterwards"
    )]
    fn multiple(
        &self,
        multiple: &Number,
        least: Option<&Bound>,
        most: Option<&Bound>,
        pick: usize,
    ) -> Result<Value, String> {
        const TRIES: usize = 4096;
        let text = multiple.to_string();
        let decimals = text.split_once('.').map_or(0, |(_, digits)| digits.len());
        let each = multiple.as_f64().unwrap_or(1.0).abs();
        if text.contains(['e', 'E']) || each <= 0.0 {
            return finite(least.map_or(0.0, Bound::approximate));
        }
        let from = match (least, most) {
            // One step early, because the division may have been rounded up.
            (Some(least), _) => (least.approximate() / each).ceil() - 1.0,
            (None, Some(most)) if most.approximate() <= each => {
                (most.approximate() / each).floor() - 1.0 - pick as f64
            }
            _ => 1.0,
        };
        let mut left = pick;
        for step in 0..TRIES {
            let text = format!("{:.decimals$}", (from + step as f64) * each);
            let number: f64 = text.parse().unwrap_or(0.0);
            if most.is_some_and(|most| number > most.approximate()) {
                break;
            }
            if self.within(number, least, most) && self.is_multiple_of_all(number) {
                if left == 0 {
                    return if decimals == 0 { whole_or(number) } else { finite(number) };
                }
                left -= 1;
            }
        }
        if pick > 0 {
            self.multiple(multiple, least, most, 0)
        } else {
            Err("no multiple lies within the bounds".to_owned())
        }
    }

    fn within(&self, number: f64, least: Option<&Bound>, most: Option<&Bound>) -> bool {
        let above = least.is_none_or(|bound| {
            if bound.excluded {
                number > bound.approximate()
            } else {
                number >= bound.approximate()
            }
        });
        above
            && most.is_none_or(|bound| {
                if bound.excluded {
                    number < bound.approximate()
                } else {
                    number <= bound.approximate()
                }
            })
    }

    fn is_multiple_of_all(&self, number: f64) -> bool {
        self.multiples.iter().filter_map(Number::as_f64).all(|multiple| {
            let ratio = number / multiple;
            (ratio - ratio.round()).abs() < 1e-9
        })
    }
}

fn collect(bounds: &[Bound], up: bool) -> Result<Vec<i128>, String> {
    let read = |bound: &Bound| {
        bound.whole(up).ok_or_else(|| "a bound is beyond what can be computed with".to_owned())
    };
    bounds.iter().map(read).collect()
}

/// The smallest whole number that is a multiple of a decimal fraction.
fn whole_multiple(fraction: &Number) -> Result<i128, String> {
    let text = fraction.to_string();
    let too_fine = || format!("`multipleOf` {text} is too fine");
    let (front, digits) = text.split_once('.').ok_or_else(too_fine)?;
    let scale = u32::try_from(digits.len()).ok().and_then(|digits| 10_i128.checked_pow(digits));
    let scale = scale.ok_or_else(too_fine)?;
    let scaled: i128 = format!("{front}{digits}").parse().map_err(|_| too_fine())?;
    let divisor = greatest_divisor(scaled.abs(), scale);
    if divisor == 0 { Err(too_fine()) } else { Ok(scaled.abs() / divisor) }
}

fn greatest_divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn common_multiple(a: i128, b: i128) -> Option<i128> {
    (a / greatest_divisor(a, b)).checked_mul(b).filter(|product| *product < i128::from(i64::MAX))
}

fn finite(number: f64) -> Result<Value, String> {
    Number::from_f64(number).map(Value::Number).ok_or_else(|| "the bounds are too large".to_owned())
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
fn whole_or(number: f64) -> Result<Value, String> {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        Ok(Value::from(number as i64))
    } else {
        finite(number)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(value: Value) -> Number {
        value.as_number().cloned().unwrap()
    }

    fn rules(
        least: Option<(Value, bool)>,
        most: Option<(Value, bool)>,
        multiples: &[Value],
    ) -> NumberRules {
        let bound = |(value, excluded)| Bound { number: number(value), excluded };
        NumberRules {
            least: least.into_iter().map(bound).collect(),
            most: most.into_iter().map(bound).collect(),
            multiples: multiples.iter().cloned().map(number).collect(),
        }
    }

    #[test]
    fn whole_numbers_within_bounds() {
        for (rules, pick, expected) in [
            (rules(None, None, &[]), 0, Ok(json!(1))),
            (rules(None, None, &[]), 2, Ok(json!(3))),
            (rules(Some((json!(5), true)), None, &[]), 0, Ok(json!(6))),
            (rules(Some((json!(5.5), true)), Some((json!(6), false)), &[]), 3, Ok(json!(6))),
            (rules(None, Some((json!(-7), false)), &[json!(5)]), 0, Ok(json!(-10))),
            (rules(None, Some((json!(-7), true)), &[]), 1, Ok(json!(-9))),
            (rules(Some((json!(10), false)), None, &[json!(4), json!(6)]), 1, Ok(json!(24))),
            (rules(Some((json!(1), false)), None, &[json!(2.5)]), 0, Ok(json!(5))),
            (
                rules(Some((json!(u64::MAX), false)), Some((json!(u64::MAX), false)), &[]),
                0,
                Ok(json!(u64::MAX)),
            ),
        ] {
            assert_eq!(rules.integer(pick), expected, "{rules:?}");
        }
        assert!(rules(Some((json!(5), false)), Some((json!(4), false)), &[]).integer(0).is_err());
        assert!(
            rules(Some((json!(5), false)), Some((json!(9), false)), &[json!(10)])
                .integer(0)
                .is_err()
        );
    }

    #[test]
    fn fractions_within_bounds() {
        for (rules, pick, expected) in [
            (rules(None, None, &[]), 0, json!(1.5)),
            (rules(Some((json!(0), true)), Some((json!(1), true)), &[]), 0, json!(0.5)),
            (rules(Some((json!(0.07), false)), None, &[json!(0.01)]), 0, json!(0.07)),
            (rules(Some((json!(0.07), true)), None, &[json!(0.01)]), 0, json!(0.08)),
            (rules(None, None, &[json!(5)]), 1, json!(10)),
        ] {
            assert_eq!(rules.fraction(pick), Ok(expected), "{rules:?}");
        }
        let below = rules(None, Some((json!(-0.5), true)), &[json!(0.25)]).fraction(0).unwrap();
        assert!(below.as_f64().unwrap() < -0.5);
    }
}
