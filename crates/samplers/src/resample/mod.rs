//! One file per resampler.

mod adasyn;
mod borderline;
mod cluster_centroids;
mod combine;
mod condensed;
mod config;
mod edited;
mod geometric;
mod instance_hardness;
mod kmeans;
mod kmeans_smote;
mod macros;
mod multilabel;
mod mwmote;
mod near_miss;
mod neighbourhood;
mod one_sided;
mod prowsyn;
mod random;
mod regression;
mod safe_level;
mod smote;
mod smote_n;
mod smote_nc;
mod svm;
mod svm_smote;
mod tomek;

use std::collections::BTreeMap;

use counterweight_core::{Rng, derive, ensure, pages, rng};
use rand::RngExt;

pub use adasyn::Adasyn;
pub use borderline::{BorderlineSmote, BorderlineVersion};
pub use cluster_centroids::{ClusterCentroids, Voting};
pub(crate) use combine::then;
pub use combine::{Chain, SmoteEnn, SmoteTomek};
pub use condensed::CondensedNn;
pub use config::ResamplerConfig;
pub use edited::{AllKnn, EditedNn, Keep, RepeatedEditedNn};
pub use geometric::{GeometricSmote, Surface};
pub use instance_hardness::InstanceHardness;
pub use kmeans_smote::KMeansSmote;
pub use multilabel::{LabelImbalance, LabelRule, MlRos, MlSmote, MultiLabelPlan};
pub use mwmote::Mwmote;
pub use near_miss::{NearMiss, NearMissVersion};
pub use neighbourhood::NeighbourhoodCleaning;
pub use one_sided::OneSidedSelection;
pub use prowsyn::ProWSyn;
pub use random::{Bases, RandomOver, RandomUnder, Shrinkage};
pub use regression::{Evening, RegressionPlan, Smogn, Smoter};
pub use safe_level::SafeLevelSmote;
pub use smote::Smote;
pub use smote_n::SmoteN;
pub use smote_nc::SmoteNc;
pub use svm_smote::{SupportVectors, SvmSmote};
pub use tomek::TomekLinks;

use crate::neighbours::{Neighbour, nearest};
use crate::strategy::Direction;
use crate::table::{Features, Resampled, Table};
use crate::{Error, Origin, Plan, PlannedRow, Result, Strategy};

/// Computes which rows a balanced data set should have.
pub trait Resampler {
    /// The plan for features `[rows, columns]` and their class ids.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) for bad parameters, non-finite features, labels of another
    /// length, or classes too small for the method.
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan>;

    /// Plans and applies in one step, under the name imbalanced-learn uses.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    fn fit_resample<T: Resampled>(&self, x: &T, y: &[usize]) -> Result<(T::Output, Vec<usize>)>
    where
        Self: Sized,
    {
        self.plan(x, y)?.apply(x)
    }
}

impl<R: Resampler + ?Sized> Resampler for Box<R> {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        (**self).plan(x, y)
    }
}

/// The rows of each class, after checking the data of a method that measures distances.
fn rows_by_class(x: &Features<'_>, y: &[usize]) -> Result<BTreeMap<usize, Vec<usize>>> {
    x.ensure_finite()?;
    grouped(x, y)
}

/// The rows of each class.
fn grouped(x: &Features<'_>, y: &[usize]) -> Result<BTreeMap<usize, Vec<usize>>> {
    counterweight_core::ensure_length("labels", y.len(), x.rows())?;
    by_class(y)
}

/// The rows of each class, of which there is one at least.
pub(crate) fn by_class(y: &[usize]) -> Result<BTreeMap<usize, Vec<usize>>> {
    if y.is_empty() {
        return Err(counterweight_core::Error::Empty { what: "labels" }.into());
    }
    let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, &class) in y.iter().enumerate() {
        rows.entry(class).or_default().push(row);
    }
    Ok(rows)
}

fn counts(rows: &BTreeMap<usize, Vec<usize>>) -> BTreeMap<usize, usize> {
    rows.iter().map(|(&class, rows)| (class, rows.len())).collect()
}

/// A class that is to grow.
struct Growth<'a> {
    class: usize,
    members: &'a [usize],
    wanted: usize,
    rng: Rng,
}

/// The classes that are to grow, each with its own random stream.
fn growths<'a>(
    rows: &'a BTreeMap<usize, Vec<usize>>,
    strategy: &Strategy,
    seed: u64,
    method: &'static str,
) -> Result<Vec<Growth<'a>>> {
    let targets = strategy.targets(&counts(rows), Direction::Over, method)?;
    let growth = |(&class, members): (&usize, &'a Vec<usize>)| {
        let wanted = targets[&class] - members.len();
        (wanted > 0).then(|| Growth {
            class,
            members,
            wanted,
            rng: rng(derive(seed, class as u64)),
        })
    };
    Ok(rows.iter().filter_map(growth).collect())
}

/// Every row kept, with room for those that are to come.
fn begun(y: &[usize], growing: &[Growth<'_>]) -> Vec<PlannedRow> {
    let new: usize = growing.iter().map(|growth| growth.wanted).sum();
    let mut planned = pages::with_capacity(y.len() + new);
    planned.extend(Plan::kept_rows(y));
    planned
}

/// The plan that keeps the rows for which `keep` holds, in their old order.
pub(crate) fn kept(y: &[usize], keep: impl Fn(usize) -> bool) -> Plan {
    let rows = (0..y.len()).filter(|&row| keep(row));
    Plan::new(rows.map(|row| PlannedRow { origin: Origin::Kept(row), class: y[row] }).collect())
}

/// A row on the way from `a` to one of its neighbours, at most `reach` of it far.
fn between(
    a: usize,
    near: &[Neighbour],
    class: usize,
    rng: &mut Rng,
    reach: impl Fn(usize) -> f64,
) -> PlannedRow {
    let b = near[rng.random_range(0..near.len())].row;
    let t = rng.random::<f64>() * reach(b);
    PlannedRow { origin: Origin::Between { a, b, t }, class }
}

/// How many of the k nearest of each row, among all, are of other classes.
fn strangers(x: &Features<'_>, y: &[usize], rows: &[usize], k: usize) -> Vec<usize> {
    let all: Vec<usize> = (0..y.len()).collect();
    let others =
        |(&row, near): (&usize, Vec<Neighbour>)| near.iter().filter(|n| y[n.row] != y[row]).count();
    rows.iter().zip(nearest(x, rows, &all, k)).map(others).collect()
}

/// Neighbours asked for, and enough rows to have them.
fn ensure_neighbours(
    name: &'static str,
    k: usize,
    rows: usize,
    method: &'static str,
) -> Result<()> {
    ensure(name, k as f64, k >= 1, "[1, inf)")?;
    if rows <= k {
        return Err(Error::TooFewRows { method, got: rows, needed: k + 1 });
    }
    Ok(())
}

/// A class that grows must have more than k rows.
fn ensure_members(class: usize, got: usize, k: usize, method: &'static str) -> Result<()> {
    if got <= k {
        return Err(Error::TooFew { method, class, got, needed: k + 1 });
    }
    Ok(())
}
