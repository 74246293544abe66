use std::fmt;
use std::ops::RangeInclusive;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Value};

/// What values a parameter may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution {
    /// Real numbers in `[low, high]`.
    Float {
        /// Lower bound, inclusive.
        low: f64,
        /// Upper bound, inclusive.
        high: f64,
        /// Uniform in the logarithm; needs `low > 0`.
        #[serde(default)]
        log: bool,
        /// Only `low + i · step`; not together with `log`.
        #[serde(default)]
        step: Option<f64>,
    },
    /// Integers in `[low, high]`.
    Int {
        /// Lower bound, inclusive.
        low: i64,
        /// Upper bound, inclusive.
        high: i64,
        /// Uniform in the logarithm; needs `low > 0`.
        #[serde(default)]
        log: bool,
        /// Only `low + i · step`; 1 when `log`.
        #[serde(default = "one")]
        step: i64,
    },
    /// One of some values without order.
    Categorical {
        /// The values.
        choices: Vec<Value>,
    },
}

fn one() -> i64 {
    1
}

impl Distribution {
    /// Real numbers in a range.
    pub fn float(range: RangeInclusive<f64>) -> Self {
        let (low, high) = range.into_inner();
        Self::Float { low, high, log: false, step: None }
    }

    /// Integers in a range.
    pub fn int(range: RangeInclusive<i64>) -> Self {
        let (low, high) = range.into_inner();
        Self::Int { low, high, log: false, step: 1 }
    }

    /// One of some values without order.
    pub fn categorical<V: Into<Value>>(choices: impl IntoIterator<Item = V>) -> Self {
        Self::Categorical { choices: choices.into_iter().map(Into::into).collect() }
    }

    /// The same on a log scale (no change for choices).
    #[must_use]
    pub fn on_log_scale(mut self) -> Self {
        if let Self::Float { log, .. } | Self::Int { log, .. } = &mut self {
            *log = true;
        }
        self
    }

    /// The same in steps (no change for choices; an integer's step is rounded).
    #[must_use]
    pub fn in_steps_of(mut self, width: f64) -> Self {
        match &mut self {
            Self::Float { step, .. } => *step = Some(width),
            Self::Int { step, .. } => *step = width.round() as i64,
            Self::Categorical { .. } => {}
        }
        self
    }

    /// Checks the bounds, and lowers a bound that the step does not reach, with a
    /// warning by `tracing`.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::NoChoices`], naming the parameter.
    pub fn checked(mut self, name: &str) -> Result<Self> {
        let range = |low: f64, high: f64, allowed| {
            Err(Error::Range { name: name.to_owned(), low, high, allowed })
        };
        match self {
            Self::Float { low, high, .. }
                if !(low.is_finite() && high.is_finite() && low <= high) =>
            {
                return range(low, high, "finite low <= high");
            }
            Self::Float { low, high, log: true, .. } if low <= 0.0 => {
                return range(low, high, "low > 0 on a log scale");
            }
            Self::Float { low, high, log, step: Some(step) }
                if log || !step.is_finite() || step <= 0.0 =>
            {
                return range(low, high, "a step > 0, and no log scale with it");
            }
            Self::Int { low, high, .. } if low > high => {
                return range(low as f64, high as f64, "low <= high");
            }
            Self::Int { low, high, log: true, .. } if low <= 0 => {
                return range(low as f64, high as f64, "low > 0 on a log scale");
            }
            Self::Int { low, high, log, step } if step <= 0 || (log && step != 1) => {
                return range(low as f64, high as f64, "a step >= 1, and 1 on a log scale");
            }
            Self::Categorical { ref choices } if choices.is_empty() => {
                return Err(Error::NoChoices { name: name.to_owned() });
            }
            _ => {}
        }
        let asked = self.clone();
        match &mut self {
            Self::Float { low, high, step: Some(step), .. } => {
                let steps = ((*high - *low) / *step + 1e-9).floor();
                let reached = on_grid(*low, *step, steps);
                if (reached - *high).abs() > 1e-9 * *step {
                    *high = reached;
                }
            }
            Self::Int { low, high, step, .. } => {
                let over = high.abs_diff(*low) % step.unsigned_abs();
                *high = high.saturating_sub_unsigned(over);
            }
            _ => {}
        }
        if self != asked {
            tracing::warn!("{name}: the step does not divide the range {asked}; taken as {self}");
        }
        Ok(self)
    }

    /// Whether both can belong to one parameter of a study: the same kind, both or
    /// neither on a log scale, the same choices. Bounds may differ between trials.
    pub fn is_compatible(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float { log: a, .. }, Self::Float { log: b, .. })
            | (Self::Int { log: a, .. }, Self::Int { log: b, .. }) => a == b,
            (Self::Categorical { choices: a }, Self::Categorical { choices: b }) => a == b,
            _ => false,
        }
    }

    /// The number of values, `None` when continuous.
    pub fn cardinality(&self) -> Option<u64> {
        match self {
            Self::Float { low, high, .. } if low == high => Some(1),
            Self::Float { step: None, .. } => None,
            Self::Float { low, high, step: Some(step), .. } => {
                Some(((high - low) / step + 1e-9).floor() as u64 + 1)
            }
            Self::Int { low, high, step, .. } => {
                Some((high.abs_diff(*low) / step.unsigned_abs().max(1)).saturating_add(1))
            }
            Self::Categorical { choices } => Some(choices.len() as u64),
        }
    }

    /// Whether there is one value only.
    pub fn is_single(&self) -> bool {
        self.cardinality() == Some(1)
    }

    /// Whether the value can be drawn.
    pub fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Float { low, high, step, .. }, _) => value.as_f64().is_some_and(|v| {
                let on_step = step.is_none_or(|step| {
                    let steps = (v - low) / step;
                    (steps - steps.round()).abs() < 1e-8
                });
                (*low..=*high).contains(&v) && on_step
            }),
            (Self::Int { low, high, step, .. }, Value::Int(v)) => {
                (low..=high).contains(&v) && v.abs_diff(*low).is_multiple_of(step.unsigned_abs())
            }
            (Self::Int { .. }, _) => false,
            (Self::Categorical { choices }, _) => choices.contains(value),
        }
    }

    /// The number by which files and databases keep a value: a choice's position, or
    /// the number itself.
    pub fn to_internal(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Categorical { choices } => {
                choices.iter().position(|c| c == value).map(|i| i as f64)
            }
            _ => value.as_f64(),
        }
    }

    /// The inverse of [`to_internal`](Self::to_internal).
    pub fn from_internal(&self, internal: f64) -> Option<Value> {
        match self {
            Self::Float { .. } => Some(Value::Float(internal)),
            Self::Int { .. } => internal.is_finite().then_some(Value::Int(internal as i64)),
            Self::Categorical { choices } if internal >= 0.0 => {
                choices.get(internal as usize).cloned()
            }
            Self::Categorical { .. } => None,
        }
    }

    /// The value as this distribution holds it (7.0 as 7 for integers), if it can.
    pub(crate) fn adopt(&self, value: &Value) -> Option<Value> {
        let internal = self.to_internal(value)?;
        if matches!(self, Self::Int { .. }) && internal.fract() != 0.0 {
            return None;
        }
        self.from_internal(internal).filter(|v| self.contains(v))
    }

    /// The `index`-th value of a finite distribution; the last one beyond its end.
    pub(crate) fn nth(&self, index: u64) -> Value {
        match self {
            Self::Float { low, high, step, .. } => {
                let value = step.map_or(*low, |step| on_grid(*low, step, index as f64));
                Value::Float(value.min(*high))
            }
            Self::Int { low, high, step, .. } => {
                let offset = index.saturating_mul(step.unsigned_abs());
                Value::Int(low.saturating_add_unsigned(offset).min(*high))
            }
            Self::Categorical { choices } => {
                let last = choices.len().saturating_sub(1);
                choices.get((index as usize).min(last)).cloned().unwrap_or(Value::Null)
            }
        }
    }

    pub(crate) fn sample(&self, rng: &mut impl Rng) -> Value {
        self.decode(rng.random())
    }

    /// The value at `unit` in `[0, 1]` of a number's range (uniform over integers and
    /// steps); of categories, the one whose equal share holds `unit`.
    pub(crate) fn decode(&self, unit: f64) -> Value {
        let unit = unit.clamp(0.0, 1.0);
        match *self {
            Self::Float { low, high, log: true, .. } => {
                let value = (low.ln() + unit * (high.ln() - low.ln())).exp();
                Value::Float(value.clamp(low, high))
            }
            Self::Float { low, high, step: None, .. } => {
                Value::Float((low + unit * (high - low)).clamp(low, high))
            }
            Self::Int { low, high, log: true, .. } => {
                let (a, b) = ((low as f64 - 0.5).ln(), (high as f64 + 0.5).ln());
                Value::Int(((a + unit * (b - a)).exp().round() as i64).clamp(low, high))
            }
            _ => {
                let n = self.cardinality().unwrap_or(1);
                self.nth(((unit * n as f64) as u64).min(n - 1))
            }
        }
    }

    /// The inverse of [`decode`](Self::decode): the middle of the value's share.
    /// `None` for a value that is not of this distribution.
    pub(crate) fn encode(&self, value: &Value) -> Option<f64> {
        match (self, value) {
            (Self::Float { low, high, .. }, _) if low == high => Some(0.5),
            (Self::Float { low, high, log, step }, _) => {
                let v = value.as_f64()?;
                let unit = match step {
                    _ if *log => (v.ln() - low.ln()) / (high.ln() - low.ln()),
                    None => (v - low) / (high - low),
                    Some(step) => (((v - low) / step).round() + 0.5) / self.cardinality()? as f64,
                };
                (-1e-9..=1.0 + 1e-9).contains(&unit).then(|| unit.clamp(0.0, 1.0))
            }
            (Self::Int { low, high, log, step }, Value::Int(v)) => {
                let unit = if *log {
                    let (a, b) = ((*low as f64 - 0.5).ln(), (*high as f64 + 0.5).ln());
                    ((*v as f64).ln() - a) / (b - a)
                } else {
                    let steps = v.checked_sub(*low)? / step;
                    (steps as f64 + 0.5) / self.cardinality()? as f64
                };
                (0.0..=1.0).contains(&unit).then_some(unit)
            }
            (Self::Categorical { choices }, _) => {
                let index = choices.iter().position(|c| c == value)?;
                Some((index as f64 + 0.5) / choices.len() as f64)
            }
            _ => None,
        }
    }
}

/// `low + steps · step`, rounded to the decimals that `low` and `step` are written
/// with: the third step of 0.1 is 0.3.
fn on_grid(low: f64, step: f64, steps: f64) -> f64 {
    let decimals = |v: f64| format!("{v}").split_once('.').map_or(0, |(_, d)| d.len());
    let value = low + steps * step;
    let places = decimals(low).max(decimals(step));
    if places > 15 { value } else { format!("{value:.places$}").parse().unwrap_or(value) }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float { low, high, log, step } => {
                write!(f, "float {low}..={high}")?;
                step.map_or(Ok(()), |step| write!(f, " step {step}"))?;
                f.write_str(if *log { " log" } else { "" })
            }
            Self::Int { low, high, log, step } => {
                write!(f, "int {low}..={high}")?;
                if *step != 1 {
                    write!(f, " step {step}")?;
                }
                f.write_str(if *log { " log" } else { "" })
            }
            Self::Categorical { choices } => {
                f.write_str("one of ")?;
                for (i, choice) in choices.iter().enumerate() {
                    write!(f, "{}{choice}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}
