//! What the losses around another loss share.

use crate::Loss;

/// A loss around another.
pub(super) trait Wrapper {
    fn inner(&self) -> &dyn Loss;
    fn inner_mut(&mut self) -> &mut dyn Loss;
}

/// The methods of [`Loss`] that a wrapper only passes on.
macro_rules! forward_hooks {
    () => {
        fn set_epoch(&mut self, epoch: usize) {
            self.inner_mut().set_epoch(epoch);
        }

        fn begin_batch(&mut self, batch: &$crate::BatchInfo<'_>) {
            self.inner_mut().begin_batch(batch);
        }

        $crate::losses::wrapper::forward_state!();
    };
}

/// The part of it that concerns the state.
macro_rules! forward_state {
    () => {
        fn end_batch(&mut self, logits: burn::tensor::Tensor<2>, targets: &$crate::Targets) {
            self.inner_mut().end_batch(logits, targets);
        }

        fn state(&self) -> Vec<f64> {
            self.inner().state()
        }

        fn set_state(&mut self, state: &[f64]) {
            self.inner_mut().set_state(state);
        }
    };
}
pub(super) use {forward_hooks, forward_state};
