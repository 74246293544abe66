//! How sure a score or a difference is.

mod bootstrap;
mod delong;
mod mcnemar;
mod ranked;

pub use bootstrap::{Bootstrap, Comparison, CurveComparison, Interval};
pub use delong::{DeLong, DeLongTest};
pub use mcnemar::McNemar;
