use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::space::float;
use crate::{Distribution, Error, Params, Result, Space, Value};

/// What became of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Has a value.
    Complete,
    /// Its objective failed or gave no number.
    Failed,
}

/// An ended trial as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Position in the study, from 0.
    pub number: u64,
    /// What became of it.
    pub state: State,
    /// The parameters suggested.
    pub params: Params,
    /// The distributions they were suggested from.
    pub space: Space,
    /// The objective's value, for a complete trial.
    pub value: Option<f64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A running trial: the objective asks it for parameters.
///
/// The space is defined by what is asked, so a parameter may be asked only if another
/// has a certain value. Parameters that every finished trial shares are suggested by
/// the study's suggester jointly, the others at random.
#[derive(Debug)]
pub struct Trial {
    number: u64,
    params: Params,
    space: Space,
    planned: Params,
    seed: u64,
    rng: ChaCha8Rng,
}

impl Trial {
    pub(crate) fn new(number: u64, planned: Params, seed: u64) -> Self {
        Self {
            number,
            params: Params::new(),
            space: Space::new(),
            planned,
            seed,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(crate) fn into_record(self, value: Option<f64>, reason: Option<String>) -> TrialRecord {
        TrialRecord {
            number: self.number,
            state: if value.is_some() { State::Complete } else { State::Failed },
            params: self.params,
            space: self.space,
            value,
            reason,
        }
    }

    /// Position in the study, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// A seed of this trial's own, the same whenever the study is run or resumed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The parameters suggested so far.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// A real number in `range`.
    ///
    /// # Errors
    /// For an empty range.
    pub fn suggest_float(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<f64> {
        self.suggest_number(name, float(range, false))
    }

    /// A real number in `range`, uniform in its logarithm.
    ///
    /// # Errors
    /// For an empty range or one not above 0.
    pub fn suggest_log_float(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<f64> {
        self.suggest_number(name, float(range, true))
    }

    /// An integer in `range`.
    ///
    /// # Errors
    /// For an empty range.
    pub fn suggest_int(&mut self, name: &str, range: std::ops::RangeInclusive<i64>) -> Result<i64> {
        let (low, high) = range.into_inner();
        match self.suggest(name, Distribution::Int { low, high, log: false })? {
            Value::Int(v) => Ok(v),
            _ => Err(redefined(name)),
        }
    }

    /// One of `choices`.
    ///
    /// # Errors
    /// Without choices.
    pub fn suggest_categorical<'c>(&mut self, name: &str, choices: &[&'c str]) -> Result<&'c str> {
        let names = choices.iter().map(|&c| c.to_owned()).collect();
        let value = self.suggest(name, Distribution::Categorical { choices: names })?;
        let Value::Text(value) = value else {
            return Err(redefined(name));
        };
        choices.iter().find(|&&c| c == value).copied().ok_or_else(|| redefined(name))
    }

    /// A value of any distribution.
    ///
    /// # Errors
    /// For an empty range, or a name asked before under another distribution.
    pub fn suggest(&mut self, name: &str, distribution: Distribution) -> Result<Value> {
        distribution.check(name)?;
        if let Some(known) = self.space.get(name) {
            return match self.params.get(name) {
                Some(value) if *known == distribution => Ok(value.clone()),
                _ => Err(redefined(name)),
            };
        }
        let planned = self.planned.get(name).filter(|v| distribution.encode(v).is_some());
        let value = match planned {
            Some(value) => value.clone(),
            None => distribution.sample(&mut self.rng),
        };
        self.params.insert(name.to_owned(), value.clone());
        self.space.insert(name, distribution);
        Ok(value)
    }

    fn suggest_number(&mut self, name: &str, distribution: Distribution) -> Result<f64> {
        match self.suggest(name, distribution)? {
            Value::Float(v) => Ok(v),
            Value::Int(v) => Ok(v as f64),
            Value::Text(_) => Err(redefined(name)),
        }
    }
}

fn redefined(name: &str) -> Error {
    Error::Redefined { name: name.to_owned() }
}
