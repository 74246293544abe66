use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::pruner::{PruneTask, Pruner};
use crate::record::{key, now};
use crate::storage::choice_from_json;
use crate::study::{Lease, stream};
use crate::{
    Direction, Distribution, Error, Op, Params, Result, Scope, Space, State, Storage, TrialRecord,
    Value,
};

/// What a running trial shares with its study.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) study: u64,
    pub(crate) directions: Vec<Direction>,
    pub(crate) pruner: Arc<dyn Pruner>,
    pub(crate) fixed: Params,
}

/// A running trial: the objective asks it for parameters.
///
/// The space is defined by what is asked, so a parameter may be asked only if another
/// has a certain value. What earlier trials asked for is suggested by the study's
/// suggester, jointly; a parameter that is new is drawn at random. Every value is
/// written to the storage as it is suggested, so that other workers see it.
#[derive(Debug)]
pub struct Trial {
    pub(crate) record: TrialRecord,
    pub(crate) shared: Arc<Shared>,
    /// The suggester's values.
    pub(crate) planned: Params,
    pub(crate) seed: u64,
    pub(crate) lease: Option<Lease>,
}

impl Trial {
    /// Position in the study, from 0.
    pub fn number(&self) -> u64 {
        self.record.number
    }

    /// A seed of this trial's own, the same whenever the study is run or resumed and
    /// however many workers it has.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The parameters suggested so far.
    pub fn params(&self) -> &Params {
        &self.record.params
    }

    /// The trial as it is stored.
    pub fn record(&self) -> &TrialRecord {
        &self.record
    }

    /// A real number in `range`.
    ///
    /// # Errors
    /// As [`suggest`](Self::suggest).
    pub fn suggest_float(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<f64> {
        self.suggest_real(name, Distribution::float(range))
    }

    /// A real number in `range`, uniform in its logarithm.
    ///
    /// # Errors
    /// As [`suggest`](Self::suggest).
    pub fn suggest_log_float(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<f64> {
        self.suggest_real(name, Distribution::float(range).on_log_scale())
    }

    /// One of `low`, `low + step`, … up to `high`.
    ///
    /// # Errors
    /// As [`suggest`](Self::suggest).
    pub fn suggest_float_step(
        &mut self,
        name: &str,
        range: RangeInclusive<f64>,
        step: f64,
    ) -> Result<f64> {
        self.suggest_real(name, Distribution::float(range).in_steps_of(step))
    }

    /// An integer in `range`.
    ///
    /// # Errors
    /// As [`suggest`](Self::suggest).
    pub fn suggest_int(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<i64> {
        self.suggest_integer(name, Distribution::int(range))
    }

    /// An integer in `range`, uniform in its logarithm.
    ///
    /// # Errors
    /// As [`suggest`](Self::suggest).
    pub fn suggest_log_int(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<i64> {
        self.suggest_integer(name, Distribution::int(range).on_log_scale())
    }

    /// One of `low`, `low + step`, … up to `high`.
    ///
    /// # Errors
    /// As [`suggest`](Self::suggest).
    pub fn suggest_int_step(
        &mut self,
        name: &str,
        range: RangeInclusive<i64>,
        step: i64,
    ) -> Result<i64> {
        let (low, high) = range.into_inner();
        self.suggest_integer(name, Distribution::Int { low, high, log: false, step })
    }

    /// One of `choices`.
    ///
    /// # Errors
    /// As [`suggest`](Self::suggest).
    pub fn suggest_categorical<T: Clone + Into<Value>>(
        &mut self,
        name: &str,
        choices: &[T],
    ) -> Result<T> {
        let distribution = Distribution::categorical(choices.iter().cloned());
        let value = self.suggest(name, distribution.clone())?;
        let index = distribution.to_internal(&value).map(|i| i as usize);
        let chosen = index.and_then(|i| choices.get(i)).cloned();
        chosen.ok_or_else(|| not_a_value(name, &value, &distribution))
    }

    /// A value of any distribution.
    ///
    /// # Errors
    /// [`Error::Range`], [`Error::NoChoices`]; [`Error::Redefined`] when the study knows
    /// the parameter with a distribution that does not go with this one;
    /// [`Error::NotAValue`] for a fixed or enqueued value outside of it; errors of the
    /// storage.
    pub fn suggest(&mut self, name: &str, distribution: Distribution) -> Result<Value> {
        let distribution = distribution.checked(name)?;
        let (value, op) = self.choose(name, distribution)?;
        if let Some(op) = op {
            self.shared.storage.commit(std::slice::from_ref(&op))?;
            self.keep(op, &value);
        }
        Ok(value)
    }

    /// Values of all parameters of a static space that are there under their conditions,
    /// written at once.
    ///
    /// # Errors
    /// As [`suggest`](Self::suggest).
    pub fn suggest_all(&mut self, space: &Space) -> Result<&Params> {
        let mut made: Vec<(Op, Value)> = Vec::new();
        let mut params = self.record.params.clone();
        let mut left: Vec<(&str, &Distribution)> = space.iter().collect();
        // Parents first: each round settles those whose parents are settled.
        while !left.is_empty() {
            let (ready, waiting): (Vec<_>, Vec<_>) = left.iter().partition(|(name, _)| {
                space.conditions(name).all(|(parent, _)| !left.iter().any(|(n, _)| *n == parent))
            });
            if ready.is_empty() {
                break;
            }
            for (name, distribution) in ready {
                if space.is_active(name, &params) {
                    let (value, op) = self.choose(name, distribution.clone())?;
                    params.insert(name.to_owned(), value.clone());
                    made.extend(op.map(|op| (op, value)));
                }
            }
            left = waiting;
        }
        let ops: Vec<Op> = made.iter().map(|(op, _)| op.clone()).collect();
        if !ops.is_empty() {
            self.shared.storage.commit(&ops)?;
        }
        for (op, value) in made {
            self.keep(op, &value);
        }
        Ok(&self.record.params)
    }

    /// The value, and what has to be written if it is new.
    fn choose(&self, name: &str, distribution: Distribution) -> Result<(Value, Option<Op>)> {
        if let Some(old) = self.record.distributions.get(name) {
            return match self.record.params.get(name) {
                Some(value) if *old == distribution => Ok((value.clone(), None)),
                _ => Err(Error::redefined(name, old, &distribution)),
            };
        }
        let enqueued = self.record.system_attrs.get(key::FIXED).and_then(|f| f.get(name));
        let given = self.shared.fixed.get(name).cloned().or(enqueued.map(choice_from_json));
        let value = match given {
            Some(value) => distribution
                .adopt(&value)
                .ok_or_else(|| not_a_value(name, &value, &distribution))?,
            None => {
                let planned = self.planned.get(name).and_then(|v| distribution.adopt(v));
                planned.unwrap_or_else(|| distribution.sample(&mut stream(self.seed, name)))
            }
        };
        let internal = distribution.to_internal(&value);
        let internal = internal.ok_or_else(|| not_a_value(name, &value, &distribution))?;
        let (trial, name) = (self.record.id, name.to_owned());
        Ok((value, Some(Op::SetParam { trial, name, internal, distribution })))
    }

    fn keep(&mut self, op: Op, value: &Value) {
        if let Op::SetParam { name, distribution, .. } = op {
            self.record.params.insert(name.clone(), value.clone());
            self.record.distributions.insert(name, distribution);
        }
    }

    fn suggest_real(&mut self, name: &str, distribution: Distribution) -> Result<f64> {
        let value = self.suggest(name, distribution.clone())?;
        value.as_f64().ok_or_else(|| not_a_value(name, &value, &distribution))
    }

    fn suggest_integer(&mut self, name: &str, distribution: Distribution) -> Result<i64> {
        match self.suggest(name, distribution.clone())? {
            Value::Int(v) => Ok(v),
            value => Err(not_a_value(name, &value, &distribution)),
        }
    }

    /// Reports the objective's value at a step (an epoch, say), for pruning and for the
    /// record. The first report of a step counts; NaN is allowed.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a negative step; errors of the storage.
    pub fn report(&mut self, step: i64, value: f64) -> Result<()> {
        if step < 0 {
            let (name, value) = ("step", step as f64);
            return Err(Error::OutOfRange { name, value, allowed: "[0, inf)" });
        }
        if !self.record.intermediate.contains_key(&step) {
            let trial = self.record.id;
            self.shared.storage.commit(&[Op::Report { trial, step, value }])?;
            self.record.intermediate.insert(step, value);
        }
        Ok(())
    }

    /// Whether the study's pruner would end the trial, by what has been reported. The
    /// objective then returns [`Error::Pruned`].
    ///
    /// # Errors
    /// [`Error::Objectives`] with several objectives; errors of the storage.
    pub fn should_prune(&mut self) -> Result<bool> {
        let [direction] = self.shared.directions[..] else {
            let found = self.shared.directions.len();
            return Err(Error::Objectives { what: "pruning", allowed: "1", found });
        };
        if self.record.intermediate.is_empty() {
            return Ok(false);
        }
        let history = self.shared.storage.trials(self.shared.study)?;
        let mut notes = Vec::new();
        let task = PruneTask {
            history: &history,
            trial: &self.record,
            direction,
            seed: self.seed,
            study: &self.shared.name,
        };
        let prune = self.shared.pruner.prune(&task, &mut notes)?;
        for (key, value) in notes {
            self.note(Scope::System, &key, value.clone())?;
            self.record.system_attrs.insert(key, value);
        }
        Ok(prune)
    }

    /// Notes something about the trial.
    ///
    /// # Errors
    /// Of the storage.
    pub fn set_user_attr(&mut self, key: &str, value: impl Into<Json>) -> Result<()> {
        let value = value.into();
        self.note(Scope::User, key, value.clone())?;
        self.record.user_attrs.insert(key.to_owned(), value);
        Ok(())
    }

    /// States a constraint: feasible when at most 0, broken by `value` otherwise. Broken
    /// ones count after all feasible trials, by the sum of what they break.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for NaN; errors of the storage.
    pub fn set_constraint(&mut self, name: &str, value: f64) -> Result<()> {
        if value.is_nan() {
            let allowed = "numbers";
            return Err(Error::OutOfRange { name: "constraint", value, allowed });
        }
        let key = format!("{}:{name}", key::CONSTRAINTS);
        // Infinity has no number in JSON; the largest number breaks as much.
        let value = Json::from(value.clamp(f64::MIN, f64::MAX));
        self.note(Scope::System, &key, value.clone())?;
        self.record.system_attrs.insert(key, value);
        Ok(())
    }

    fn note(&self, scope: Scope, key: &str, value: Json) -> Result<()> {
        let (trial, key) = (self.record.id, key.to_owned());
        self.shared.storage.commit(&[Op::SetTrialAttr { trial, scope, key, value }])?;
        Ok(())
    }

    /// Ends the trial.
    pub(crate) fn end(
        mut self,
        state: State,
        values: Option<Vec<f64>>,
        reason: Option<String>,
    ) -> Result<TrialRecord> {
        let (trial, at) = (self.record.id, now());
        let mut ops = Vec::new();
        if let Some(reason) = reason {
            let (scope, key) = (Scope::System, key::FAIL_REASON.to_owned());
            self.record.system_attrs.insert(key.clone(), reason.clone().into());
            ops.push(Op::SetTrialAttr { trial, scope, key, value: reason.into() });
        }
        ops.push(Op::SetState { trial, state, values: values.clone(), at });
        self.shared.storage.commit(&ops)?;
        self.lease = None;
        self.record.state = state;
        self.record.values = values.unwrap_or_default();
        self.record.completed = Some(at);
        Ok(self.record)
    }
}

pub(crate) fn not_a_value(name: &str, value: &Value, distribution: &Distribution) -> Error {
    Error::NotAValue {
        name: name.to_owned(),
        value: value.clone(),
        distribution: Box::new(distribution.clone()),
    }
}
