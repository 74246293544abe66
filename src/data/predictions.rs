use std::path::Path;

use counterweight_core::{LabelEncoder, ensure_length, write_atomic};
use counterweight_metrics::Predictions;
use ndarray::{Array2, Axis};

use super::csv_file;
use crate::{Error, Result};

/// Predictions of a model on labelled rows, as a CSV file that any program can write: a column
/// `truth` with the name of the true class, if wanted a column `group`, and one column per
/// class, named after it, with its probability.
///
/// ```
/// use counterweight::PredictionTable;
/// use counterweight::prelude::*;
/// use ndarray::array;
///
/// let names = ["shoe".to_owned(), "hat".to_owned()];
/// let predictions = Predictions::new(vec![0, 1], array![[0.9, 0.1], [0.25, 0.75]])?;
/// let path = std::env::temp_dir().join("counterweight-doc-predictions.csv");
/// PredictionTable::new(predictions, &names, None)?.write_csv(&path)?;
/// let read = PredictionTable::read_csv(&path)?;
/// assert_eq!((read.names(), read.predictions().truth()), (&names[..], &[0, 1][..]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), counterweight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionTable {
    predictions: Predictions,
    names: Vec<String>,
    groups: Option<Vec<String>>,
}

const TRUTH: &str = "truth";
const GROUP: &str = "group";

impl PredictionTable {
    /// Names the classes of predictions, and if wanted the group of each row.
    ///
    /// # Errors
    /// When names or groups are not as many as classes or rows, or a class has the name of
    /// another column.
    pub fn new(
        predictions: Predictions,
        names: &[String],
        groups: Option<Vec<String>>,
    ) -> Result<Self> {
        ensure_length("names", names.len(), predictions.probabilities().ncols())?;
        if let Some(groups) = &groups {
            ensure_length("groups", groups.len(), predictions.len())?;
        }
        for (i, name) in names.iter().enumerate() {
            let problem = if [TRUTH, GROUP].contains(&name.as_str()) {
                "is the name of another column"
            } else if names[..i].contains(name) {
                "appears twice"
            } else {
                continue;
            };
            return Err(Error::ClassName { name: name.clone(), problem });
        }
        Ok(Self { predictions, names: names.to_vec(), groups })
    }

    /// Reads a CSV file (also gzipped).
    ///
    /// # Errors
    /// When the file is missing, not UTF-8 or no CSV, lacks the column `truth`, has no rows, a
    /// true class without a column, a cell that is no number, or a row that is no distribution.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (mut truth, mut groups, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let columns = csv_file::read(
            path,
            |header| Columns::find(path, header),
            |columns, row, record| {
                truth.push(record[columns.truth].to_owned());
                groups.extend(columns.group.map(|at| record[at].to_owned()));
                for (name, &at) in columns.names.iter().zip(&columns.classes) {
                    let cell = &record[at];
                    let value = cell.trim().parse::<f64>().ok().filter(|v| v.is_finite());
                    values.push(value.ok_or_else(|| Error::Cell {
                        path: path.to_owned(),
                        row,
                        column: name.clone(),
                        value: cell.to_owned(),
                    })?);
                }
                Ok(())
            },
        )?;
        let classes = LabelEncoder::from(columns.names.clone());
        let mut ids = Vec::with_capacity(truth.len());
        for (i, name) in truth.iter().enumerate() {
            let id = classes.id(name).ok_or_else(|| Error::Row {
                path: path.to_owned(),
                row: i + 1,
                reason: format!("the true class {name:?} has no column of probabilities"),
            })?;
            ids.push(id);
        }
        let shape = (ids.len(), columns.names.len());
        let p = Array2::from_shape_fn(shape, |(r, c)| values[r * columns.names.len() + c]);
        let groups = columns.group.map(|_| groups);
        Self::new(Predictions::new(ids, p)?, &columns.names, groups)
    }

    /// Writes a CSV file, probabilities rounded to six decimals.
    ///
    /// # Errors
    /// When it cannot be written; no partial file is left then.
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut header = vec![TRUTH.to_owned()];
        header.extend(self.groups.is_some().then(|| GROUP.to_owned()));
        header.extend(self.names.iter().cloned());
        write_atomic(path, |file| {
            let mut csv = csv::Writer::from_writer(file);
            csv.write_record(&header)?;
            for (row, p) in self.predictions.probabilities().rows().into_iter().enumerate() {
                let mut cells = vec![self.names[self.predictions.truth()[row]].clone()];
                cells.extend(self.groups.as_ref().map(|groups| groups[row].clone()));
                cells.extend(p.iter().map(|p| (p * 1e6).round() / 1e6).map(|p| p.to_string()));
                csv.write_record(&cells)?;
            }
            csv.flush()
        })?;
        Ok(())
    }

    /// The same with the classes in another order: that of a profile, or of the predictions of
    /// another model.
    ///
    /// # Errors
    /// When `names` are not the same classes.
    pub fn in_order(&self, names: &[String]) -> Result<Self> {
        ensure_length("names", names.len(), self.names.len())?;
        let classes = LabelEncoder::from(self.names.clone());
        let from = classes.encode(names)?;
        let mut to = vec![0; from.len()];
        from.iter().enumerate().for_each(|(new, &old)| to[old] = new);
        let p = self.predictions.probabilities().select(Axis(1), &from);
        let truth = self.predictions.truth().iter().map(|&id| to[id]).collect();
        Self::new(Predictions::new(truth, p)?, names, self.groups.clone())
    }

    /// The predictions.
    pub fn predictions(&self) -> &Predictions {
        &self.predictions
    }

    /// Class names in class-id order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The group of each row, if the file has them.
    pub fn groups(&self) -> Option<&[String]> {
        self.groups.as_deref()
    }
}

/// Where the columns are.
struct Columns {
    truth: usize,
    group: Option<usize>,
    classes: Vec<usize>,
    names: Vec<String>,
}

impl Columns {
    fn find(path: &Path, header: &[String]) -> Result<Self> {
        let truth = csv_file::position(path, header, TRUTH)?;
        let group = header.iter().position(|name| name == GROUP);
        let classes: Vec<usize> =
            (0..header.len()).filter(|&i| i != truth && Some(i) != group).collect();
        let names = classes.iter().map(|&i| header[i].clone()).collect();
        Ok(Self { truth, group, classes, names })
    }
}
