use super::{Suggester, Task};
use crate::{Params, Result};

/// Random search (Bergstra and Bengio, JMLR 2012): every parameter independently and
/// uniformly from its distribution.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Suggester for Random {
    fn suggest(&mut self, _task: &Task<'_>) -> Result<Option<Params>> {
        Ok(Some(Params::new()))
    }
}
