//! What the losses around other losses share.

/// The named methods of [`Loss`](crate::Loss), passed on to a field that has them too.
macro_rules! forward {
    ($field:ident: $($method:ident),*) => {
        $($crate::losses::wrapper::forward!(@$method $field);)*
    };
    (@set_epoch $field:ident) => {
        fn set_epoch(&mut self, epoch: usize) {
            self.$field.set_epoch(epoch);
        }
    };
    (@begin_batch $field:ident) => {
        fn begin_batch(&mut self, batch: &$crate::BatchInfo<'_>) {
            self.$field.begin_batch(batch);
        }
    };
    (@end_batch $field:ident) => {
        fn end_batch(&mut self, logits: burn::tensor::Tensor<2>, targets: &$crate::Targets) {
            self.$field.end_batch(logits, targets);
        }
    };
    (@state $field:ident) => {
        fn state(&self) -> Vec<f64> {
            self.$field.state()
        }

        fn set_state(&mut self, state: &[f64]) {
            self.$field.set_state(state);
        }
    };
}
pub(super) use forward;
