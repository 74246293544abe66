//! Checkpoints that resume exactly.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use counterweight_encoder::ModelDir;
use serde::{Deserialize, Serialize};

use super::Epoch;
use super::optimizer::Optimizer;
use crate::{Error, Result};

const MODEL: &str = "model.bpk";
const BEST: &str = "best.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

/// Where training stands between two epochs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) history: Vec<Epoch>,
    pub(super) best_epoch: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    recipe: String,
    data: u64,
    state: State,
    /// What the task keeps between batches.
    task: Vec<f64>,
}

/// A checkpoint directory of one recipe on one data set.
pub(super) struct Checkpoint {
    dir: PathBuf,
    recipe: String,
    data: u64,
}

/// A checkpoint read back.
pub(super) struct Loaded {
    dir: PathBuf,
    state: State,
    task: Vec<f64>,
}

impl Checkpoint {
    /// `recipe` and `data` tell the run from others.
    pub(super) fn new(dir: &Path, recipe: String, data: u64) -> Self {
        Self { dir: dir.to_owned(), recipe, data }
    }

    pub(super) fn save<M: Module>(
        &self,
        model: &M,
        best: &M,
        optimizer: &Optimizer,
        state: &State,
        task: Vec<f64>,
    ) -> Result<()> {
        let files = ModelDir::create(&self.dir)?;
        let bytes = |module: &M| module.clone().into_record().into_bytes();
        let record = |name: &str, bytes: Result<Bytes, RecordError>| -> Result<()> {
            let bytes = bytes.map_err(|e| self.broken(name, &e))?;
            Ok(files.write(name, &bytes)?)
        };
        record(MODEL, bytes(model))?;
        record(BEST, bytes(best))?;
        record(OPTIMIZER, optimizer.to_bytes())?;
        let saved =
            Saved { recipe: self.recipe.clone(), data: self.data, state: state.clone(), task };
        files.write_json(STATE, &saved)?;
        Ok(files.commit()?)
    }

    /// The checkpoint, if there is one.
    pub(super) fn load(&self) -> Result<Option<Loaded>> {
        if !self.dir.join(STATE).exists() {
            return Ok(None);
        }
        let saved: Saved = ModelDir::read_json(&self.dir, STATE)?;
        let other = |what| Error::Checkpoint { path: self.dir.clone(), what };
        if saved.recipe != self.recipe {
            return Err(other("recipe"));
        }
        if saved.data != self.data {
            return Err(other("data set"));
        }
        Ok(Some(Loaded { dir: self.dir.clone(), state: saved.state, task: saved.task }))
    }

    fn broken(&self, name: &str, error: &RecordError) -> Error {
        broken(&self.dir.join(name), error)
    }
}

impl Loaded {
    pub(super) fn task_state(&self) -> &[f64] {
        &self.task
    }

    pub(super) fn restore<M: Module>(
        self,
        model: M,
        best: M,
        optimizer: Optimizer,
    ) -> Result<(M, M, Optimizer, State)> {
        let module = |module: M, name: &str| -> Result<M> {
            let path = self.dir.join(name);
            let record = ModuleRecord::from_bytes(read(&path)?).map_err(|e| broken(&path, &e))?;
            module.try_load_record(record).map_err(|e| broken(&path, &e))
        };
        let path = self.dir.join(OPTIMIZER);
        let optimizer = optimizer.restored(read(&path)?).map_err(|e| broken(&path, &e))?;
        Ok((module(model, MODEL)?, module(best, BEST)?, optimizer, self.state))
    }
}

fn read(path: &Path) -> Result<Bytes> {
    let bytes =
        std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Ok(Bytes::from_bytes_vec(bytes))
}

fn broken(path: &Path, error: &RecordError) -> Error {
    Error::Encoder(counterweight_encoder::Error::Format {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
