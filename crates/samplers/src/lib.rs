//! Resampling as planning, and class-aware index samplers.
//!
//! A [`Resampler`] looks at features and labels and returns a [`Plan`]: for every
//! output row, where it comes from. The plan is applied to features, labels, texts,
//! weights or (feature `burn`) device tensors, all in the same order.
//!
//! ```
//! use counterweight_samplers::{Origin, Resampler, Smote};
//! use ndarray::array;
//!
//! let x = array![[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [5.0, 5.0], [5.1, 5.0], [5.0, 5.2], [5.3, 5.1], [5.2, 5.2]];
//! let y = [1, 1, 1, 0, 0, 0, 0, 0];
//! let plan = Smote::new().with_k(2).with_seed(7).plan(&x, &y)?;
//! let (x2, y2) = plan.apply(&x)?;
//! assert_eq!(x2.nrows(), 10);
//! assert_eq!(y2.iter().filter(|&&c| c == 1).count(), 5);
//! // Every synthetic row knows its parents.
//! assert!(matches!(plan.rows()[8].origin, Origin::Between { .. }));
//! # Ok::<(), counterweight_samplers::Error>(())
//! ```

#[cfg(feature = "burn")]
mod adapters;
mod approximate;
mod error;
mod fidelity;
#[cfg(any(feature = "csv", feature = "parquet"))]
mod files;
mod folds;
mod imbalance;
mod index;
mod mixed;
mod neighbours;
mod plan;
mod quota;
mod relevance;
mod resample;
mod reservoir;
mod strategy;
mod table;
mod value_difference;

#[cfg(feature = "burn")]
pub use adapters::{PlannedDataset, PlannedItem, SampledDataset};
pub use approximate::Approximate;
pub use error::{Error, Result};
pub use fidelity::{ClassFidelity, PlanFidelity};
#[cfg(any(feature = "csv", feature = "parquet"))]
pub use files::{FileError, FileResampler, FileSummary};
pub use folds::{Fold, Folds};
pub use imbalance::Imbalance;
pub use index::{
    ClassAware, EffectiveNumber, IndexSampler, Progressive, RepeatFactor, SamplerConfig,
    SquareRoot, Uniform, Weighted,
};
pub use plan::{Origin, Plan, PlannedRow};
pub use quota::Quota;
pub use relevance::{Extremes, Relevance};
pub use resample::{
    Adasyn, AllKnn, Bases, BorderlineSmote, BorderlineVersion, Chain, ClusterCentroids,
    CondensedNn, EditedNn, Evening, GeometricSmote, InstanceHardness, KMeansSmote, Keep,
    LabelImbalance, LabelRule, MlRos, MlSmote, MultiLabelPlan, Mwmote, NearMiss, NearMissVersion,
    NeighbourhoodCleaning, OneSidedSelection, ProWSyn, RandomOver, RandomUnder, RegressionPlan,
    RepeatedEditedNn, Resampler, ResamplerConfig, SafeLevelSmote, Shrinkage, Smogn, Smote,
    SmoteEnn, SmoteN, SmoteNc, SmoteTomek, Smoter, SupportVectors, Surface, SvmSmote, TomekLinks,
    Voting,
};
pub use reservoir::Reservoir;
pub use strategy::{CountsFn, Strategy};
pub use table::{Features, Real, Resampled, Table};
