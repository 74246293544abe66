use burn::tensor::{Device, Int, Tensor, TensorData};

/// What a batch should have been answered with.
#[derive(Debug, Clone)]
pub enum Targets {
    /// Class ids `[batch]`, each below the number of classes.
    Ids(Tensor<1, Int>),
    /// A distribution over the classes per row (from mixup, smoothing, distillation); for
    /// multi-label losses an indicator per class in `[0, 1]`; for regression the values:
    /// `[batch, columns]`.
    Soft(Tensor<2>),
}

impl Targets {
    /// Class ids on a device.
    pub fn from_ids(ids: &[usize], device: &Device) -> Self {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        Self::Ids(Tensor::from_data(TensorData::from(ids.as_slice()), device))
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.dims()[0],
            Self::Soft(soft) => soft.dims()[0],
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `Σ_c t_c · values_c` per row: a gather for ids, a weighted sum otherwise.
    ///
    /// # Shapes
    /// `values`: `[batch, classes]`, result: `[batch]`.
    pub fn pick(&self, values: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Ids(ids) => values.gather(1, ids.clone().unsqueeze_dim(1)).squeeze_dim(1),
            Self::Soft(soft) => {
                let soft = soft.clone().cast(values.dtype());
                (values * soft).sum_dim(1).squeeze_dim(1)
            }
        }
    }

    /// [`pick`](Self::pick) from one row of values per class, `[1, classes]`.
    pub fn weigh(&self, values: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Ids(ids) => values.squeeze_dim::<1>(0).select(0, ids.clone()),
            Self::Soft(soft) => {
                let soft = soft.clone().cast(values.dtype());
                (soft * values).sum_dim(1).squeeze_dim(1)
            }
        }
    }

    /// The targets as rows of `[batch, classes]` on the device and in the dtype of
    /// `like`; ids become one-hot.
    pub fn dense(&self, like: &Tensor<2>) -> Tensor<2> {
        match self {
            Self::Ids(ids) => {
                let [batch, classes] = like.dims();
                let columns = Tensor::<1, Int>::arange(0..classes as i64, &ids.device())
                    .unsqueeze_dim::<2>(0)
                    .expand([batch, classes]);
                let rows = ids.clone().unsqueeze_dim::<2>(1).expand([batch, classes]);
                rows.equal(columns).float().cast(like.dtype())
            }
            Self::Soft(soft) => soft.clone().cast(like.dtype()),
        }
    }

    /// The targets as an indicator per column: like [`dense`](Self::dense), but ids
    /// beside a single column are labels 0 and 1.
    pub fn indicators(&self, like: &Tensor<2>) -> Tensor<2> {
        match self {
            Self::Ids(ids) if like.dims()[1] == 1 => {
                ids.clone().unsqueeze_dim(1).float().cast(like.dtype())
            }
            _ => self.dense(like),
        }
    }

    /// The class of each row: the ids, or the largest entry of each row.
    pub fn classes(&self) -> Tensor<1, Int> {
        match self {
            Self::Ids(ids) => ids.clone(),
            Self::Soft(soft) => soft.clone().argmax(1).squeeze_dim(1),
        }
    }

    /// `share · self + (1 − share) · other` as soft targets beside logits of `like`'s
    /// shape: the targets of mixup (Zhang et al., ICLR 2018).
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use counterweight_losses::Targets;
    ///
    /// let device = Device::flex();
    /// let (a, b) = (Targets::from_ids(&[0], &device), Targets::from_ids(&[2], &device));
    /// let logits = Tensor::<2>::zeros([1, 3], &device);
    /// let Targets::Soft(mixed) = a.mix(&b, 0.75, &logits) else { unreachable!() };
    /// assert_eq!(mixed.into_data().try_to_vec::<f32>()?, [0.75, 0.0, 0.25]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mix(&self, other: &Self, share: f64, like: &Tensor<2>) -> Self {
        Self::Soft(self.dense(like) * share + other.dense(like) * (1.0 - share))
    }
}
