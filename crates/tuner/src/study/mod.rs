mod export;
mod lease;
mod optimize;
mod rank;
mod values;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};

#[cfg(feature = "plot")]
pub(crate) use export::write_whole;
pub(crate) use lease::Lease;
pub(crate) use rank::dominates;
pub use rank::{hypervolume, pareto_front};
pub use values::Values;

use self::lease::Keeper;
use crate::pruner::{NoPruner, Pruner};
use crate::record::{key, now};
use crate::suggester::{Auto, Suggester, Task};
use crate::trial::Shared;
use crate::{
    Direction, Error, Journal, Memory, Op, Params, Result, Scope, Space, State, Storage, Trial,
    TrialRecord, Value,
};

/// Called after each trial.
type Callback = Arc<dyn Fn(&Study, &TrialRecord) -> ControlFlow<()> + Send + Sync>;

/// A search: trials, the suggester that proposes them and the storage that keeps them.
///
/// In a storage that lasts ([`journal`](Self::journal), a database) a study continues
/// where it was killed, and other processes join it. The same seed gives the same
/// trials whether or not it was interrupted, for one worker; with several, trial *i*
/// still draws from its own stream, but what it has seen depends on who was faster.
pub struct Study {
    shared: Arc<Shared>,
    suggester: Mutex<Box<dyn Suggester>>,
    space: Option<Space>,
    seed: u64,
    distinct: bool,
    lease: Duration,
    retries: usize,
    keeper: OnceLock<Keeper>,
    progress: bool,
    stop: Option<Arc<AtomicBool>>,
    timeout: Option<Duration>,
    patience: Option<usize>,
    target: Option<f64>,
    callbacks: Vec<Callback>,
}

impl fmt::Debug for Study {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Study")
            .field("name", &self.shared.name)
            .field("directions", &self.shared.directions)
            .field("storage", &self.shared.storage)
            .field("suggester", &self.suggester)
            .finish_non_exhaustive()
    }
}

impl Study {
    /// A study for small values, in memory, with the default suggester
    /// ([`Auto`]).
    pub fn minimize(name: impl Into<String>) -> Self {
        Self::new(name, [Direction::Minimize])
    }

    /// A study for large values, in memory, with the default suggester
    /// ([`Auto`]).
    pub fn maximize(name: impl Into<String>) -> Self {
        Self::new(name, [Direction::Maximize])
    }

    /// A study with one direction per objective, in memory, with the default suggester
    /// ([`Auto`]).
    pub fn new(name: impl Into<String>, directions: impl IntoIterator<Item = Direction>) -> Self {
        let (name, directions) = (name.into(), directions.into_iter().collect::<Vec<_>>());
        let storage = Memory::new();
        // An empty storage takes any study.
        let _ = storage
            .commit(&[Op::CreateStudy { name: name.clone(), directions: directions.clone() }]);
        let shared = Shared {
            name,
            storage: Arc::new(storage),
            study: 0,
            directions,
            pruner: Arc::new(NoPruner),
            fixed: Params::new(),
        };
        Self {
            shared: Arc::new(shared),
            suggester: Mutex::new(Box::new(Auto::new())),
            space: None,
            seed: 0,
            distinct: false,
            lease: Duration::from_secs(60),
            retries: 2,
            keeper: OnceLock::new(),
            progress: false,
            stop: None,
            timeout: None,
            patience: None,
            target: None,
            callbacks: Vec::new(),
        }
    }

    /// Sets the search algorithm.
    #[must_use]
    pub fn suggester(mut self, suggester: impl Suggester + 'static) -> Self {
        self.suggester = Mutex::new(Box::new(suggester));
        self
    }

    /// Sets what ends hopeless trials early. Default: nothing.
    #[must_use]
    pub fn pruner(mut self, pruner: impl Pruner + 'static) -> Self {
        Arc::make_mut(&mut self.shared).pruner = Arc::new(pruner);
        self
    }

    /// Sets the seed of all suggestions. Default 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Fixes the space, so that the suggester knows all parameters and conditions from
    /// the first trial.
    #[must_use]
    pub fn space(mut self, space: Space) -> Self {
        self.space = Some(space);
        self
    }

    /// Gives a parameter one value in all trials from now on (a partial fix).
    #[must_use]
    pub fn fix(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        Arc::make_mut(&mut self.shared).fixed.insert(name.into(), value.into());
        self
    }

    /// Avoids parameters that a trial had before, where the space is finite: another
    /// draw is taken as long as there are new ones to be found.
    #[must_use]
    pub fn distinct(mut self) -> Self {
        self.distinct = true;
        self
    }

    /// Sets after how long without a sign of life a running trial of another process is
    /// taken for lost, in a storage that lasts. Default 60 s, at least 3 s. A process
    /// that died on this machine is noticed at once.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_secs(3));
        self
    }

    /// Sets how often a lost trial is run again before it is only marked as failed.
    /// Default 2.
    #[must_use]
    pub fn retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// Shows a progress bar with the best value on standard error (silent when that is
    /// not a terminal).
    #[must_use]
    pub fn progress(mut self) -> Self {
        self.progress = true;
        self
    }

    /// Stops before the next trial once the flag is set (by a Ctrl-C handler, say).
    #[must_use]
    pub fn stop_flag(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Starts no trial after this time from the call of `optimize` on.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Stops when this many ended trials in a row have not improved the best value (the
    /// front, with several objectives).
    #[must_use]
    pub fn patience(mut self, trials: usize) -> Self {
        self.patience = Some(trials);
        self
    }

    /// Stops when the first objective has reached this value.
    #[must_use]
    pub fn target(mut self, value: f64) -> Self {
        self.target = Some(value);
        self
    }

    /// Calls back after each trial; `Break` stops the study.
    #[must_use]
    pub fn on_trial(
        mut self,
        callback: impl Fn(&Self, &TrialRecord) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.callbacks.push(Arc::new(callback));
        self
    }

    /// Keeps the study in any storage: joins the one of this name or begins it.
    ///
    /// # Errors
    /// [`Error::OtherStudy`] when it is stored with other directions; errors of the
    /// storage.
    pub fn storage(mut self, storage: impl Storage + 'static) -> Result<Self> {
        let (name, directions) = (self.name().to_owned(), self.shared.directions.clone());
        let find = |storage: &dyn Storage| {
            Ok::<_, Error>(storage.studies()?.into_iter().find(|s| s.name == name))
        };
        let study = match find(&storage)? {
            Some(study) => study,
            None => {
                let create = Op::CreateStudy { name: name.clone(), directions: directions.clone() };
                match storage.commit(&[create]) {
                    // Another process was faster.
                    Ok(_) | Err(Error::Exists { .. }) => {}
                    Err(error) => return Err(error),
                }
                find(&storage)?.ok_or(Error::Missing { what: "study", id: 0 })?
            }
        };
        if study.directions != directions {
            let (found, expected) = (list(&study.directions), list(&directions));
            return Err(Error::OtherStudy { name, found, expected });
        }
        let shared = Arc::make_mut(&mut self.shared);
        shared.storage = Arc::new(storage);
        shared.study = study.id;
        Ok(self)
    }

    /// Keeps the study in a [`Journal`] file.
    ///
    /// # Errors
    /// As [`storage`](Self::storage).
    pub fn journal(self, path: impl AsRef<Path>) -> Result<Self> {
        self.storage(Journal::open(path)?)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// One direction per objective.
    pub fn directions(&self) -> &[Direction] {
        &self.shared.directions
    }

    pub(crate) fn static_space(&self) -> Option<&Space> {
        self.space.as_ref()
    }

    /// Names the objectives, for dashboards.
    ///
    /// # Errors
    /// [`Error::Objectives`] for another number of names; errors of the storage.
    pub fn set_metric_names(&self, names: &[&str]) -> Result<()> {
        if names.len() != self.directions().len() {
            let found = self.directions().len();
            return Err(Error::Objectives { what: "a name for each", allowed: "as many", found });
        }
        self.note(Scope::System, key::METRIC_NAMES, names.to_vec().into())
    }

    /// Notes something about the study.
    ///
    /// # Errors
    /// Of the storage.
    pub fn set_user_attr(&self, key: &str, value: impl Into<Json>) -> Result<()> {
        self.note(Scope::User, key, value.into())
    }

    fn note(&self, scope: Scope, key: &str, value: Json) -> Result<()> {
        let (study, key) = (self.shared.study, key.to_owned());
        self.shared.storage.commit(&[Op::SetStudyAttr { study, scope, key, value }])?;
        Ok(())
    }

    /// All trials by number, those of other processes too.
    ///
    /// # Errors
    /// Of the storage.
    pub fn trials(&self) -> Result<Vec<Arc<TrialRecord>>> {
        self.shared.storage.trials(self.shared.study)
    }

    /// Has these parameters tried next; those left out are suggested as usual.
    ///
    /// # Errors
    /// Of the storage. A value that the objective's distribution does not have fails the
    /// trial.
    pub fn enqueue(&self, params: Params) -> Result<()> {
        let mut trial = TrialRecord::new(0, 0, State::Waiting);
        trial.system_attrs.insert(key::FIXED.to_owned(), json!(params));
        self.create(trial, None).map(drop)
    }

    /// Takes over the complete trials of an earlier study of the same objectives.
    ///
    /// # Errors
    /// [`Error::OtherStudy`] for other directions, [`Error::Redefined`] for a parameter
    /// that is of another kind here; errors of the storage. Trials before are then kept.
    pub fn add_trials(&self, earlier: &Self) -> Result<()> {
        if earlier.directions() != self.directions() {
            let (name, found) = (self.name().to_owned(), list(self.directions()));
            return Err(Error::OtherStudy { name, found, expected: list(earlier.directions()) });
        }
        for trial in earlier.trials()?.iter().filter(|t| t.state == State::Complete) {
            let mut copy = (**trial).clone();
            copy.system_attrs.retain(|name, _| name.starts_with(key::CONSTRAINTS));
            self.create(copy, trial.started)?;
        }
        Ok(())
    }

    /// Has the parameters of an earlier study's best trials tried next: a warm start where
    /// the objective is another one (of the front, with several objectives).
    ///
    /// # Errors
    /// Of the storages.
    pub fn enqueue_best_of(&self, earlier: &Self, trials: usize) -> Result<()> {
        let mut best: Vec<Arc<TrialRecord>> = if earlier.directions().len() == 1 {
            let mut complete = earlier.trials()?;
            complete.retain(|t| t.state == State::Complete);
            complete.sort_by(|a, b| earlier.rank(a, b));
            complete
        } else {
            earlier.front()?
        };
        best.truncate(trials);
        best.iter().try_for_each(|t| self.enqueue(t.params.clone()))
    }

    fn create(&self, template: TrialRecord, started: Option<Timestamp>) -> Result<Option<u64>> {
        let (study, template) = (self.shared.study, Some(Box::new(template)));
        self.shared.storage.commit(&[Op::CreateTrial { study, started, template }])
    }

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
    fn give_up(
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

    fn stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|s| s.load(Ordering::Relaxed))
    }
}

fn list(directions: &[Direction]) -> String {
    directions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed ^ number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
