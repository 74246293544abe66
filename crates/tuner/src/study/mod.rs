mod ask;
mod export;
mod lease;
mod optimize;
mod rank;
mod values;

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

pub(crate) use ask::stream;
#[cfg(feature = "plot")]
pub(crate) use export::write_whole;
pub(crate) use lease::Lease;
pub(crate) use rank::dominates;
pub use rank::{hypervolume, pareto_front};
pub use values::Values;

use self::lease::Keeper;
use crate::pruner::{NoPruner, Pruner};
use crate::record::key;
use crate::suggester::{Auto, Suggester};
use crate::trial::Shared;
use crate::{
    Direction, Error, Journal, Memory, Op, Params, Result, Scope, Space, State, Storage,
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

    /// A study with one direction per objective (to minimise one, if there is none), in
    /// memory, with the default suggester ([`Auto`]).
    pub fn new(name: impl Into<String>, directions: impl IntoIterator<Item = Direction>) -> Self {
        let name = name.into();
        let mut directions: Vec<Direction> = directions.into_iter().collect();
        if directions.is_empty() {
            directions.push(Direction::Minimize);
        }
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

    fn stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|s| s.load(Ordering::Relaxed))
    }
}

fn list(directions: &[Direction]) -> String {
    directions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
