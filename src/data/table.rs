use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use counterweight_augment::Column;
use counterweight_core::{ClassProfile, LabelEncoder, Split};
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::csv_file;
use crate::{Error, Result};

/// A table of numbers with a class per row.
///
/// Columns in which every cell is a number are taken as they are; the others become one
/// 0/1 column per distinct value (one-hot), named `column=value`.
#[derive(Debug, Clone)]
pub struct Table {
    x: Array2<f64>,
    labels: Vec<usize>,
    columns: Vec<String>,
    kinds: Vec<Column>,
    encoder: LabelEncoder,
}

impl Table {
    /// Reads a CSV file (also gzipped) with a header and the class in column `target`.
    ///
    /// # Errors
    /// When the file is missing, not UTF-8 or no CSV, lacks the column, has no rows, or
    /// has an empty, NaN or infinite cell.
    pub fn read_csv(path: impl AsRef<Path>, target: &str) -> Result<Self> {
        Self::read(path.as_ref(), target, encode_column)
    }

    /// The same, but a column with a cell that is no number becomes one column of codes from 0 in
    /// order of its values, a category of [`kinds`](Self::kinds), as generators and mixed
    /// resamplers take it.
    ///
    /// # Errors
    /// As [`read_csv`](Self::read_csv).
    pub fn read_csv_coded(path: impl AsRef<Path>, target: &str) -> Result<Self> {
        Self::read(path.as_ref(), target, code_column)
    }

    fn read(path: &Path, target: &str, encode: Encode) -> Result<Self> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let (at, names) = csv_file::read(
            path,
            |header| Ok((csv_file::position(path, header, target)?, header.to_vec())),
            |_, _, record| {
                rows.push(record.iter().map(|c| c.trim().to_owned()).collect());
                Ok(())
            },
        )?;
        if rows.is_empty() {
            return Err(counterweight_core::Error::Empty { what: "the table" }.into());
        }
        let (mut features, mut columns, mut categories) = (Vec::new(), Vec::new(), Vec::new());
        for (i, name) in names.iter().enumerate().filter(|&(i, _)| i != at) {
            let cells: Vec<&str> = rows.iter().map(|r| r[i].as_str()).collect();
            if encode(path, name, &cells, &mut features, &mut columns)? {
                categories.push(features.len() - 1);
            }
        }
        let raw = rows.iter().map(|r| r[at].as_str());
        let encoder = LabelEncoder::fit(raw.clone());
        let mut x = Array2::zeros((rows.len(), columns.len()));
        for (mut to, from) in x.axis_iter_mut(Axis(1)).zip(features) {
            to.assign(&Array1::from_vec(from));
        }
        let kinds = Column::of(x.view(), &categories)?;
        Ok(Self { x, labels: encoder.encode(raw)?, columns, kinds, encoder })
    }

    /// The features, `[rows, columns]`.
    pub fn features(&self) -> ArrayView2<'_, f64> {
        self.x.view()
    }

    /// The features on a device, in f32.
    pub fn tensor(&self, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = self.x.iter().map(|&v| v as f32).collect();
        Tensor::from_data(TensorData::new(values, [self.x.nrows(), self.x.ncols()]), device)
    }

    /// Class ids.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Names of the feature columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What the columns mean: numbers, whole numbers or the codes of categories.
    pub fn kinds(&self) -> &[Column] {
        &self.kinds
    }

    /// These rows.
    ///
    /// # Panics
    /// When one does not exist.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            x: self.x.select(Axis(0), rows),
            labels: rows.iter().map(|&r| self.labels[r]).collect(),
            ..self.clone()
        }
    }

    /// Class names and ids.
    pub fn encoder(&self) -> &LabelEncoder {
        &self.encoder
    }

    /// Counts per class.
    ///
    /// # Errors
    /// Never for a table with rows.
    pub fn profile(&self) -> Result<ClassProfile> {
        Ok(ClassProfile::from_labels(&self.labels, self.encoder.names())?)
    }

    /// Stratified parts; each feature is centred and scaled to unit variance by the first
    /// part's statistics, so that nothing of the others leaks into it.
    ///
    /// # Errors
    /// For bad shares.
    pub fn split_scaled<const N: usize>(&self, shares: [f64; N], seed: u64) -> Result<[Self; N]> {
        let parts = Split::stratified(shares).with_seed(seed).indices(&self.labels)?;
        let first = parts.first().map(|rows| self.x.select(Axis(0), rows));
        let mut x = self.x.clone();
        if let Some(train) = first.filter(|t| t.nrows() > 0) {
            for (mut column, fitted) in x.axis_iter_mut(Axis(1)).zip(train.axis_iter(Axis(1))) {
                let mean = fitted.sum() / fitted.len() as f64;
                let spread = fitted.std(0.0);
                let scale = if spread > 0.0 { spread } else { 1.0 };
                column.mapv_inplace(|v| (v - mean) / scale);
            }
        }
        let scaled = Self { x, ..self.clone() };
        Ok(std::array::from_fn(|part| scaled.select(&parts[part])))
    }
}

/// Adds what a column of cells becomes, and says whether that is a column of codes.
type Encode = fn(&Path, &str, &[&str], &mut Vec<Vec<f64>>, &mut Vec<String>) -> Result<bool>;

/// The numbers of a column, if all cells are numbers.
fn numbers(path: &Path, name: &str, cells: &[&str]) -> Result<Option<Vec<f64>>> {
    let bad = |row: usize| Error::Cell {
        path: path.to_owned(),
        row: row + 1,
        column: name.to_owned(),
        value: cells[row].to_owned(),
    };
    if let Some(row) = cells.iter().position(|c| c.is_empty()) {
        return Err(bad(row));
    }
    let Some(parsed) = cells.iter().map(|c| c.parse().ok()).collect::<Option<Vec<f64>>>() else {
        return Ok(None);
    };
    match parsed.iter().position(|v| !v.is_finite()) {
        Some(row) => Err(bad(row)),
        None => Ok(Some(parsed)),
    }
}

/// A column of 0 and 1 for each category.
fn encode_column(
    path: &Path,
    name: &str,
    cells: &[&str],
    features: &mut Vec<Vec<f64>>,
    columns: &mut Vec<String>,
) -> Result<bool> {
    if let Some(numbers) = numbers(path, name, cells)? {
        features.push(numbers);
        columns.push(name.to_owned());
        return Ok(false);
    }
    let values: BTreeSet<&str> = cells.iter().copied().collect();
    for value in values {
        features.push(cells.iter().map(|&c| f64::from(u8::from(c == value))).collect());
        columns.push(format!("{name}={value}"));
    }
    Ok(false)
}

/// One column of codes.
fn code_column(
    path: &Path,
    name: &str,
    cells: &[&str],
    features: &mut Vec<Vec<f64>>,
    columns: &mut Vec<String>,
) -> Result<bool> {
    columns.push(name.to_owned());
    if let Some(numbers) = numbers(path, name, cells)? {
        features.push(numbers);
        return Ok(false);
    }
    let values: BTreeSet<&str> = cells.iter().copied().collect();
    let values: Vec<&str> = values.into_iter().collect();
    // Every cell is one of the values.
    let code = |cell: &&str| values.partition_point(|v| v < cell) as f64;
    features.push(cells.iter().map(code).collect());
    Ok(true)
}
