use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Ids from which on a number is taken for an identifier, not for a class.
const MOST: usize = 1 << 24;

/// How many classes there are when ids are counted from 0: one more than the largest of
/// `(row, id)`; 0 without any.
///
/// # Errors
/// [`Error::ClassId`] for an id of 2²⁴ or more, since a count would be kept for each id below it.
/// [`LabelEncoder`] numbers such identifiers.
///
/// ```
/// use counterweight_core::class_count;
///
/// assert_eq!(class_count([2, 0, 2].into_iter().enumerate())?, 3);
/// assert!(class_count([0, 4_006_381_333_931].into_iter().enumerate()).is_err());
/// # Ok::<(), counterweight_core::Error>(())
/// ```
pub fn class_count(ids: impl IntoIterator<Item = (usize, usize)>) -> Result<usize> {
    match ids.into_iter().max_by_key(|(_, id)| *id) {
        Some((row, id)) if id >= MOST => Err(Error::ClassId { id, row, classes: MOST }),
        largest => Ok(largest.map_or(0, |(_, id)| id + 1)),
    }
}

/// Maps external labels (strings, numbers as strings) to class ids `0..C`.
///
/// Ids follow the labels' sorted order, so the mapping does not depend on the
/// order of the rows. It serialises as the list of names and is saved with every
/// model.
///
/// ```
/// use counterweight_core::LabelEncoder;
///
/// let encoder = LabelEncoder::fit(["b", "a", "b"]);
/// assert_eq!(encoder.encode(["a", "b"])?, [0, 1]);
/// assert_eq!(encoder.name(1), Some("b"));
/// assert!(encoder.encode(["c"]).is_err());
/// # Ok::<(), counterweight_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct LabelEncoder {
    names: Vec<String>,
    ids: HashMap<String, usize>,
}

impl LabelEncoder {
    /// Collects the distinct labels of a data set.
    pub fn fit<S: AsRef<str>>(labels: impl IntoIterator<Item = S>) -> Self {
        let distinct: BTreeSet<String> =
            labels.into_iter().map(|l| l.as_ref().to_owned()).collect();
        distinct.into_iter().collect::<Vec<_>>().into()
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The class names in id order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of a class id.
    pub fn name(&self, id: usize) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// The id of one label.
    pub fn id(&self, label: &str) -> Option<usize> {
        self.ids.get(label).copied()
    }

    /// Maps labels to ids.
    ///
    /// # Errors
    /// [`Error::UnknownClass`] for a label that was not in the fitted data.
    pub fn encode<S: AsRef<str>>(&self, labels: impl IntoIterator<Item = S>) -> Result<Vec<usize>> {
        labels
            .into_iter()
            .map(|label| {
                let label = label.as_ref();
                self.id(label).ok_or_else(|| Error::UnknownClass {
                    label: label.to_owned(),
                    known: self.preview(),
                })
            })
            .collect()
    }

    fn preview(&self) -> String {
        let mut text = self.names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
        if self.names.len() > 8 {
            text.push_str(", …");
        }
        text
    }
}

impl From<Vec<String>> for LabelEncoder {
    /// Takes the names in id order; a repeated name keeps its first id.
    fn from(names: Vec<String>) -> Self {
        let mut ids = HashMap::with_capacity(names.len());
        for (id, name) in names.iter().enumerate() {
            ids.entry(name.clone()).or_insert(id);
        }
        Self { names, ids }
    }
}

impl From<LabelEncoder> for Vec<String> {
    fn from(encoder: LabelEncoder) -> Self {
        encoder.names
    }
}
