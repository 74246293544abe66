use burn::tensor::{Device, Int, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::log_prob;

use crate::loss::{MASKED, constant, filled, row};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// In-batch contrastive softmax with log-Q correction (Yi et al., RecSys 2019).
    ///
    /// Scores `[batch, batch]` of query i against the item of row j; targets are the item
    /// ids of the rows (classes of the profile), so the diagonal is positive.
    /// `loss_i = −log softmax_j(s_ij / T − log Q_j)_i` where Q is an item's share of the
    /// examples, the chance to meet it as somebody else's negative. Rows whose item is i's
    /// own (accidental hits) leave the denominator. With unit vectors it is InfoNCE (van den
    /// Oord et al. 2018) in one direction.
    InBatchSoftmaxConfig {
        /// T > 0. Default: 1; unit vectors want about 0.05.
        temperature / with_temperature: f64 = 1.0, positive;
        /// Correct by log Q. Default: yes.
        log_q / with_log_q: bool = true, any;
        /// Mask accidental hits. Default: yes.
        mask_hits / with_mask_hits: bool = true, any;
    }
}

impl InBatchSoftmaxConfig {
    /// Checks the parameters and takes log Q from the profile.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<InBatchSoftmax> {
        self.check()?;
        let log_q = constant(&profile.log_priors(), device);
        Ok(InBatchSoftmax { config: self.clone(), log_q })
    }
}

/// See [`InBatchSoftmaxConfig`].
#[derive(Debug, Clone)]
pub struct InBatchSoftmax {
    config: InBatchSoftmaxConfig,
    log_q: Tensor<1>,
}

impl Loss for InBatchSoftmax {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let [batch, columns] = logits.dims();
        assert_eq!(batch, columns, "in-batch softmax takes a square matrix of scores");
        let items = targets.classes();
        let mut u = logits / self.config.temperature;
        if self.config.log_q {
            let log_q = row(&self.log_q, &u).squeeze_dim::<1>(0).select(0, items.clone());
            u = u - log_q.unsqueeze_dim::<2>(0);
        }
        if self.config.mask_hits {
            let i = items.clone().unsqueeze_dim::<2>(1).expand([batch, batch]);
            let j = items.unsqueeze_dim::<2>(0).expand([batch, batch]);
            let own =
                Tensor::<2, Int>::eye(batch, &u.device().without_autodiff()).to_device(&u.device());
            let hits = i.equal(j).bool_and(own.equal_elem(0));
            u = u.mask_fill(hits, MASKED);
        }
        let diagonal = Tensor::<1, Int>::arange(0..batch as i64, &u.device());
        let none = filled(0.0, &u);
        log_prob(u, diagonal, none.clone(), none, 1.0).neg()
    }
}
