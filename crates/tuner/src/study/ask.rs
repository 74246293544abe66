//! Asking for trials and telling their values.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};

use super::lease::{self, Keeper};
use super::{Study, Values};
use crate::record::{key, now};
use crate::suggester::{Suggester, Task};
use crate::{Error, Op, Params, Result, Scope, State, Trial, TrialRecord};

impl Study {
    /// Starts a trial: an enqueued one, or a new one. `None` when the suggester has no
    /// more points.
    ///
    /// # Errors
    /// Of the suggester and the storage.
    pub fn ask(&self) -> Result<Option<Trial>> {
        // One at a time: each sees the parameters of those before.
        let mut suggester = self.suggester.lock().unwrap_or_else(PoisonError::into_inner);
        self.reclaim()?;
        let lasting = self.shared.storage.is_lasting();
        let lease = lasting.then(|| lease::granted(self.lease));
        let history = self.trials()?;
        for waiting in history.iter().filter(|t| t.state == State::Waiting) {
            let (trial, at) = (waiting.id, now());
            let mut ops = vec![Op::SetState { trial, state: State::Running, values: None, at }];
            ops.extend(lease.clone().map(|value| Op::SetTrialAttr {
                trial,
                scope: Scope::System,
                key: key::LEASE.to_owned(),
                value,
            }));
            match self.shared.storage.commit(&ops) {
                Ok(Some(_)) => {
                    let mut record = (**waiting).clone();
                    (record.state, record.started) = (State::Running, Some(at));
                    let planned = self.plan(&mut **suggester, &history, record.number)?;
                    return Ok(Some(self.begin(record, &history, planned.unwrap_or_default())));
                }
                // Another process took it.
                Ok(None) | Err(Error::Ended { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let expected = history.len() as u64;
        let Some(planned) = self.plan(&mut **suggester, &history, expected)? else {
            return Ok(None);
        };
        let mut record = TrialRecord::new(0, 0, State::Running);
        record.system_attrs.extend(lease.map(|lease| (key::LEASE.to_owned(), lease)));
        if !planned.is_empty() {
            record.system_attrs.insert(key::PLANNED.to_owned(), json!(planned));
        }
        record.started = Some(now());
        let id = self.create(record.clone(), record.started)?;
        let id = id.ok_or(Error::Missing { what: "trial", id: expected })?;
        let history = self.trials()?;
        let number = history.iter().position(|t| t.id == id);
        let number = number.ok_or(Error::Missing { what: "trial", id })? as u64;
        (record.id, record.number) = (id, number);
        if number == expected {
            return Ok(Some(self.begin(record, &history, planned)));
        }
        // Another process came between.
        match self.plan(&mut **suggester, &history, number)? {
            Some(planned) => Ok(Some(self.begin(record, &history, planned))),
            None => {
                let trial = self.begin(record, &history, Params::new());
                trial.end(State::Failed, None, Some("nothing is left to try".to_owned()))?;
                Ok(None)
            }
        }
    }

    fn begin(&self, record: TrialRecord, history: &[Arc<TrialRecord>], planned: Params) -> Trial {
        let seed = self.seed_of(history, record.number);
        let shared = self.shared.clone();
        let lease = shared.storage.is_lasting().then(|| {
            let keeper = || Keeper::start(self.shared.storage.clone(), self.lease);
            self.keeper.get_or_init(keeper).hold(record.id)
        });
        Trial { record, shared, planned, seed, lease }
    }

    /// The stream a trial draws from: its position among the trials that do not repeat
    /// lost ones, so that a study goes on as if nothing had been lost.
    fn seed_of(&self, history: &[Arc<TrialRecord>], number: u64) -> u64 {
        let own = history.get(number as usize).and_then(|t| t.system_attrs.get(key::STREAM));
        let retries = history.iter().take(number as usize).filter(|t| t.is_retry()).count();
        let stream = own.and_then(Json::as_u64).unwrap_or(number - retries as u64);
        mix(self.seed, stream)
    }

    fn plan(
        &self,
        suggester: &mut dyn Suggester,
        history: &[Arc<TrialRecord>],
        number: u64,
    ) -> Result<Option<Params>> {
        let seed = self.seed_of(history, number);
        let peers = self.shared.pruner.peers(&self.shared.name, history, number);
        let mut task = Task {
            directions: &self.shared.directions,
            history: peers.as_deref().unwrap_or(history),
            space: self.space.as_ref(),
            fixed: &self.shared.fixed,
            // Trials with given parameters take no point of a grid.
            point: number - given_before(history, number),
            number,
            study_seed: self.seed,
            seed,
        };
        if !self.distinct {
            return suggester.suggest(&task);
        }
        // Until a new one is found, or there is none within reason; the suggester may
        // insist, chance does not.
        for attempt in 1..=200 {
            let suggested = match attempt {
                ..=20 => suggester.suggest(&task)?,
                _ => Some(Params::new()),
            };
            let Some(mut planned) = suggested else { return Ok(None) };
            self.fill(&mut planned, history, task.seed);
            if attempt == 200 || !was_tried(history, &planned) {
                return Ok(Some(planned));
            }
            task.seed = mix(seed, attempt);
        }
        Ok(None)
    }

    /// Draws the parameters that the suggester leaves to chance, as the trial would.
    fn fill(&self, planned: &mut Params, history: &[Arc<TrialRecord>], seed: u64) {
        let latest = history.iter().rev().find(|t| t.state.is_ended() && !t.params.is_empty());
        let seen = latest.into_iter().flat_map(|t| &t.distributions);
        let known = self.space.iter().flat_map(|s| s.iter());
        for (name, distribution) in known.chain(seen.map(|(name, d)| (name.as_str(), d))) {
            if !planned.contains_key(name) {
                let drawn = distribution.sample(&mut stream(seed, name));
                let fixed = self.shared.fixed.get(name).cloned();
                planned.insert(name.to_owned(), fixed.unwrap_or(drawn));
            }
        }
    }

    /// Marks trials whose process is gone as failed, and has them run again.
    fn reclaim(&self) -> Result<()> {
        if !self.shared.storage.is_lasting() {
            return Ok(());
        }
        let now = now();
        let history = self.trials()?;
        for lost in history.iter().filter(|t| t.state == State::Running && lease::is_lost(t, now)) {
            let retried = lost.system_attrs.get(key::RETRY_HISTORY).and_then(Json::as_array);
            let again = retried.map_or(0, Vec::len) < self.retries;
            match self.give_up(&history, lost, "its process was lost", again) {
                // Another process noticed it first.
                Ok(()) | Err(Error::Ended { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fails a running trial, and requeues it with the parameters it had.
    pub(super) fn give_up(
        &self,
        history: &[Arc<TrialRecord>],
        lost: &TrialRecord,
        reason: &str,
        again: bool,
    ) -> Result<()> {
        let (trial, at) = (lost.id, now());
        let mut ops = vec![
            Op::SetTrialAttr {
                trial,
                scope: Scope::System,
                key: key::FAIL_REASON.to_owned(),
                value: reason.into(),
            },
            Op::SetState { trial, state: State::Failed, values: None, at },
        ];
        if again {
            let mut retry = TrialRecord::new(0, 0, State::Waiting);
            let known = &lost.system_attrs;
            let mut tried = known.get(key::RETRY_HISTORY).cloned().unwrap_or_else(|| json!([]));
            if let Some(tried) = tried.as_array_mut() {
                tried.push(lost.number.into());
            }
            let first = known.get(key::FAILED_TRIAL).cloned();
            let mut fixed = known.get(key::FIXED).cloned().unwrap_or_else(|| json!({}));
            for (name, value) in &lost.params {
                fixed[name] = json!(value);
            }
            let retries = history.iter().take(lost.number as usize).filter(|t| t.is_retry());
            let stream = known.get(key::STREAM).cloned();
            retry.user_attrs = lost.user_attrs.clone();
            retry.system_attrs.extend([
                (key::FIXED.to_owned(), fixed),
                (key::FAILED_TRIAL.to_owned(), first.unwrap_or(lost.number.into())),
                (key::RETRY_HISTORY.to_owned(), tried),
                (
                    key::STREAM.to_owned(),
                    stream.unwrap_or((lost.number - retries.count() as u64).into()),
                ),
            ]);
            let (study, template) = (self.shared.study, Some(Box::new(retry)));
            ops.push(Op::CreateTrial { study, started: None, template });
        }
        self.shared.storage.commit(&ops).map(drop)
    }

    /// Ends a trial with its values. A value that is no number, or another number of
    /// values than of objectives, makes it failed; infinite values are values.
    ///
    /// # Errors
    /// [`Error::Missing`] for a trial of another study; errors of the storage.
    pub fn tell(&self, trial: Trial, values: impl Into<Values>) -> Result<TrialRecord> {
        self.own(&trial)?;
        let Values(values) = values.into();
        let (found, expected) = (values.len(), self.shared.directions.len());
        let reason = if found != expected {
            format!("the objective gave {found} values for {expected} objectives")
        } else if let Some(nan) = values.iter().find(|v| v.is_nan()) {
            format!("the objective's value is {nan}")
        } else {
            return trial.end(State::Complete, Some(values), None);
        };
        self.fail(trial, reason)
    }

    /// Refuses a trial of another study.
    fn own(&self, trial: &Trial) -> Result<()> {
        let same = Arc::ptr_eq(&trial.shared, &self.shared);
        same.then_some(())
            .ok_or(Error::Missing { what: "trial of this study", id: trial.record.id })
    }

    /// Ends a trial as pruned: its value is the last one reported, if that is a number.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub fn prune(&self, trial: Trial) -> Result<TrialRecord> {
        self.own(&trial)?;
        let last = trial.record().last_report().map(|(_, value)| value);
        let value = last.filter(|v| !v.is_nan() && self.shared.directions.len() == 1);
        trial.end(State::Pruned, value.map(|v| vec![v]), None)
    }

    /// Ends a trial as failed.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub fn fail(&self, trial: Trial, reason: impl Into<String>) -> Result<TrialRecord> {
        self.own(&trial)?;
        trial.end(State::Failed, None, Some(reason.into()))
    }
}

/// Trials before `number` whose parameters were given.
fn given_before(history: &[Arc<TrialRecord>], number: u64) -> u64 {
    let before = history.iter().take(number as usize);
    before.filter(|t| t.system_attrs.contains_key(key::FIXED)).count() as u64
}

/// Whether a trial that has not failed had all of these parameters.
fn was_tried(history: &[Arc<TrialRecord>], planned: &Params) -> bool {
    history.iter().any(|t| {
        t.state != State::Failed
            && !t.params.is_empty()
            && t.params.iter().all(|(name, value)| planned.get(name) == Some(value))
    })
}

/// A generator per trial and parameter, so that the order of asking does not matter.
pub(crate) fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    // The hasher without keys: the same in every process.
    let mut hasher = DefaultHasher::new();
    (seed, name).hash(&mut hasher);
    ChaCha8Rng::seed_from_u64(hasher.finish())
}

/// SplitMix64's finaliser: an independent seed per trial.
fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed ^ number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
