//! Adapters for burn: an epoch of indices as a `Dataset`, and plans on device tensors.

use std::error::Error as StdError;
use std::marker::PhantomData;
use std::sync::Arc;

use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::{Int, Tensor, TensorData};
use ndarray::Array2;

use crate::{Error, IndexSampler, Plan, Result};

/// A data set seen through one epoch of an [`IndexSampler`].
///
/// Give it to burn's `DataLoaderBuilder` without a shuffle: the sampler has already
/// chosen the order. Make a new one each epoch.
///
/// ```
/// use std::sync::Arc;
/// use burn::data::dataset::{Dataset, InMemDataset};
/// use counterweight_samplers::{ClassAware, SampledDataset};
///
/// let data = InMemDataset::new(vec!["a", "b", "c", "rare"]);
/// let sampler = ClassAware::new(&[0, 0, 0, 1], 7)?;
/// let epoch = SampledDataset::<_, &str>::new(Arc::new(data), &sampler, 0);
/// assert_eq!(epoch.len(), 4);
/// # Ok::<(), counterweight_samplers::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SampledDataset<D, I, E = DatasetError> {
    inner: Arc<D>,
    rows: Vec<usize>,
    item: PhantomData<fn() -> (I, E)>,
}

impl<D, I, E> SampledDataset<D, I, E> {
    /// The data set in the order of `sampler`'s epoch.
    pub fn new(inner: Arc<D>, sampler: &dyn IndexSampler, epoch: usize) -> Self {
        Self { inner, rows: sampler.epoch(epoch), item: PhantomData }
    }
}

impl<D, I, E> Dataset<I, E> for SampledDataset<D, I, E>
where
    D: Dataset<I, E>,
    E: StdError + Send + Sync + 'static,
{
    fn get(&self, index: usize) -> Result<I, E> {
        self.inner.get(self.rows[index])
    }

    fn len(&self) -> usize {
        self.rows.len()
    }
}

/// The rows of a plan as a burn `Dataset`, each made when it is asked for.
///
/// With a [`SampledDataset`] around it, batches are balanced over real and synthetic rows alike:
///
/// ```
/// use std::sync::Arc;
/// use burn::data::dataset::Dataset;
/// use counterweight_samplers::{ClassAware, PlannedDataset, PlannedItem, Resampler, SampledDataset, Smote};
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((40, 2), |(r, c)| ((r * 7 + c * 3) % 11) as f32);
/// let y: Vec<usize> = (0..40).map(|r| usize::from(r % 4 == 0)).collect();
/// let plan = Smote::new().with_k(3).plan(&x, &y)?;
/// let sampler = ClassAware::new(&plan.labels(), 7)?;
/// let rows = PlannedDataset::new(x, plan)?;
/// // A new one each epoch, for burn's `DataLoaderBuilder`.
/// let epoch = SampledDataset::<_, PlannedItem>::new(Arc::new(rows), &sampler, 0);
/// assert_eq!(epoch.len(), 60);
/// assert_eq!(epoch.get(0).unwrap().features.len(), 2);
/// # Ok::<(), counterweight_samplers::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PlannedDataset {
    x: Array2<f32>,
    plan: Plan,
}

/// A row of a [`PlannedDataset`].
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedItem {
    /// Its features.
    pub features: Vec<f32>,
    /// Its class id.
    pub class: usize,
}

impl PlannedDataset {
    /// A plan with the features it was made from.
    ///
    /// # Errors
    /// [`Error::PlanRow`] when they have fewer rows than the plan refers to.
    pub fn new(x: Array2<f32>, plan: Plan) -> Result<Self> {
        plan.ensure_all_rows(x.nrows())?;
        Ok(Self { x, plan })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl Dataset<PlannedItem> for PlannedDataset {
    fn get(&self, index: usize) -> Result<PlannedItem, DatasetError> {
        let planned = self.plan.rows()[index];
        let mut features = vec![0.0; self.x.ncols()];
        self.plan.write(self.x.view(), planned.origin, &mut features);
        Ok(PlannedItem { features, class: planned.class })
    }

    fn len(&self) -> usize {
        self.plan.len()
    }
}

impl Plan {
    /// Applies the plan to a float tensor where it is: two gathers and a lerp.
    ///
    /// # Shapes
    /// `[rows, columns]` → `[plan rows, columns]`.
    ///
    /// # Errors
    /// [`Error::PlanRow`] when the tensor has fewer rows than the plan refers to,
    /// [`Error::NotOnDevice`] for rows that are more than a lerp of two.
    pub fn apply_tensor(&self, x: Tensor<2>) -> Result<Tensor<2>> {
        let [rows, _] = x.dims();
        let Some((a, b, t)) = self.parents() else {
            return Err(Error::NotOnDevice);
        };
        if let Some(&row) = a.iter().chain(&b).find(|&&row| row >= rows) {
            return Err(Error::PlanRow { row, rows });
        }
        let device = x.device();
        let ids = |rows: Vec<usize>| {
            let rows: Vec<i64> = rows.into_iter().map(|r| r as i64).collect();
            Tensor::<1, Int>::from_data(TensorData::from(rows.as_slice()), &device)
        };
        let t: Vec<f32> = t.into_iter().map(|t| t as f32).collect();
        let t = Tensor::<1>::from_data(TensorData::from(t.as_slice()), &device);
        let a = x.clone().select(0, ids(a));
        let b = x.select(0, ids(b));
        let t = t.cast(a.dtype()).unsqueeze_dim(1);
        Ok(a.clone() + (b - a) * t)
    }
}
