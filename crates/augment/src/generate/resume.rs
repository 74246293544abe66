//! Training that goes on where it was interrupted.

use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor};
use counterweight_core::{Rng, derive};
use serde::{Deserialize, Serialize};

use super::layers::Weights;
use super::store::Stored;
use super::training::{Training, Watch};
use crate::{Error, Result};

/// Epochs between two files.
const EVERY: usize = 10;
const KIND: &str = "training";

/// What of a training is not a tensor.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    /// Of the data and the settings.
    identity: u64,
    /// Epochs that are done.
    epochs: usize,
    /// How much was drawn, in two halves.
    drawn: [u64; 2],
    /// Adam's steps of each network.
    steps: Vec<i32>,
    /// The watch's best distance, by its bits, and the looks since.
    nearest: u64,
    since: usize,
}

/// The networks of a training, and tensors beside them that a step changes.
pub(crate) struct State<'s> {
    pub(crate) networks: Vec<&'s mut Weights>,
    pub(crate) rest: Vec<&'s mut Tensor<2>>,
}

/// The checkpoint of one training; without a file it only listens for the stop flag.
pub(crate) struct Checkpoint<'a> {
    path: Option<&'a Path>,
    stop: Option<&'a AtomicBool>,
    identity: u64,
}

impl<'a> Checkpoint<'a> {
    pub(crate) fn new(training: &Training<'a>, settings: &impl Debug) -> Self {
        let identity = || {
            let words = format!("{settings:?} {:?} {:?}", training.columns, training.x.dim());
            let bytes = words.bytes().map(u64::from);
            let labels = training.labels.iter().map(|&l| l as u64);
            bytes.chain(labels).chain(training.x.iter().map(|v| v.to_bits())).fold(0, derive)
        };
        let path = training.checkpoint;
        Self { path, stop: training.stop, identity: path.map_or(0, |_| identity()) }
    }

    /// Puts a training at the place that the file holds and gives the epochs that are done, 0
    /// without a file. `best` makes the watch's weights of their tensors, which have these shapes.
    pub(crate) fn begin<S>(
        &self,
        state: State<'_>,
        watch: &mut Watch<'_, S>,
        rng: &mut Rng,
        device: &Device,
        shapes: &[[usize; 2]],
        best: impl FnOnce(Vec<Tensor<2>>) -> S,
    ) -> Result<usize> {
        let Some(path) = self.path.filter(|path| path.exists()) else {
            return Ok(0);
        };
        let (place, tensors): (Place, Vec<Tensor<2>>) = Stored::read(path, KIND, device)?;
        if place.identity != self.identity {
            let reason = "a checkpoint of other data or settings; remove it to begin anew";
            return Err(Error::Format { path: path.to_owned(), reason: reason.to_owned() });
        }
        let State { networks, rest } = state;
        let mut tensors = tensors.into_iter();
        let mut whole = place.steps.len() == networks.len();
        for (network, steps) in networks.into_iter().zip(place.steps) {
            whole &= network.restore(&mut tensors, steps);
        }
        for old in rest {
            let new = tensors.next().filter(|new| new.dims() == old.dims());
            whole &= new.is_some();
            *old = new.unwrap_or_else(|| old.clone());
        }
        if !whole {
            return Err(Stored::broken(path));
        }
        let left: Vec<_> = tensors.collect();
        if !left.is_empty() {
            Stored::expect(path, &left, shapes)?;
        }
        let best = (!left.is_empty()).then(|| best(left));
        watch.put(f64::from_bits(place.nearest), place.since, best);
        let [low, high] = place.drawn.map(u128::from);
        rng.set_word_pos(low | high << 64);
        Ok(place.epochs)
    }

    /// Writes the file where it is due, or the training is to stop, which is an error then.
    pub(crate) fn after<S>(
        &self,
        epochs: usize,
        state: State<'_>,
        watch: &Watch<'_, S>,
        rng: &Rng,
        best: impl FnOnce(&S) -> Vec<Tensor<2>>,
    ) -> Result<()> {
        let stopped = self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        if let Some(path) = self.path.filter(|_| stopped || epochs.is_multiple_of(EVERY)) {
            let (nearest, since, kept) = watch.place();
            let drawn = rng.get_word_pos();
            let place = Place {
                identity: self.identity,
                epochs,
                drawn: [drawn as u64, (drawn >> 64) as u64],
                steps: state.networks.iter().map(|network| network.steps()).collect(),
                nearest: nearest.to_bits(),
                since,
            };
            let networks = state.networks.iter().flat_map(|network| network.all());
            let rest = state.rest.iter().map(|tensor| (**tensor).clone());
            let tensors: Vec<_> = networks.chain(rest).chain(kept.map_or(vec![], best)).collect();
            Stored::write(path, KIND, &place, &tensors)?;
        }
        if stopped { Err(Error::Interrupted { epochs }) } else { Ok(()) }
    }

    /// Removes the file of a training that is done.
    pub(crate) fn end(&self) -> Result<()> {
        match self.path.filter(|path| path.exists()) {
            Some(path) => std::fs::remove_file(path).map_err(|source| {
                Error::Core(counterweight_core::Error::Io { path: path.to_owned(), source })
            }),
            None => Ok(()),
        }
    }
}
