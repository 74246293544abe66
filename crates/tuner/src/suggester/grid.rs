use super::{Suggester, Task};
use crate::{Error, Params, Result};

/// Exhaustive search over a static space of finite distributions (floats need a step).
///
/// The trial's number is its point, the last parameter by name varying fastest; the
/// study ends after the last point.
///
/// ```
/// use counterweight_tuner::{Grid, Space, Study};
///
/// let space = Space::new().int("k", 1..=3)?.categorical("loss", ["a", "b"])?;
/// let mut study = Study::maximize("grid").space(space).suggester(Grid);
/// study.optimize(100, |trial| Ok(trial.suggest_int("k", 1..=3)? as f64))?;
/// assert_eq!(study.trials().count(), 6);
/// # Ok::<(), counterweight_tuner::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Grid;

impl Suggester for Grid {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        let space = task.space.ok_or(Error::NoSpace)?;
        let mut left = task.number;
        let mut params = Params::new();
        for (name, distribution) in space.iter().collect::<Vec<_>>().into_iter().rev() {
            let n = distribution
                .cardinality()
                .ok_or_else(|| Error::NotFinite { name: name.to_owned() })?;
            params.insert(name.to_owned(), distribution.nth(left % n));
            left /= n;
        }
        Ok((left == 0).then_some(params))
    }
}
