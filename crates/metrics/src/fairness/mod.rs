//! Whether a model treats groups of rows alike.

mod groups;
mod parity;

pub use groups::{GroupReport, GroupScore};
pub use parity::{Disparity, FairnessReport, GroupRates};

use std::collections::BTreeMap;

/// The rows of each group, by name.
pub(crate) fn rows_by_group<S: AsRef<str>>(groups: &[S]) -> BTreeMap<&str, Vec<usize>> {
    let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, group) in groups.iter().enumerate() {
        rows.entry(group.as_ref()).or_default().push(row);
    }
    rows
}
