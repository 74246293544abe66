//! Random resampling of files larger than memory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Quota, Result, Strategy};

/// Random over- or under-sampling of a file in two passes, in memory for one row (CSV) or one batch
/// of rows (Parquet): the first counts the labels, the second writes each row as often as its
/// [`Quota`] says, in the file's order.
///
/// The output is written beside its place and moved there when it is whole. Class ids are the
/// places of the labels in sorted order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileResampler {
    over: bool,
    label: String,
    strategy: Strategy,
    seed: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSummary {
    /// Rows of each label before and after.
    pub counts: BTreeMap<String, (usize, usize)>,
}

impl fmt::Display for FileSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, (before, after)) in &self.counts {
            writeln!(f, "{label}: {before} -> {after}")?;
        }
        Ok(())
    }
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A strategy that does not suit the counts.
    #[error(transparent)]
    Resampling(#[from] crate::Error),
    /// The file cannot be read or written, or is not what its kind says.
    #[error("{}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A label column that is not there.
    #[error("{} has no column {column:?}; it has {columns:?}", path.display())]
    NoColumn {
        /// The path.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// Its columns.
        columns: Vec<String>,
    },
    /// A label column of a kind that names no classes.
    #[error("column {column:?} of {} is {kind}; labels are texts, integers or booleans", path.display())]
    Labels {
        /// The path.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its kind.
        kind: String,
    },
}

impl FileResampler {
    /// Copies rows of small classes; `label` is the name of the label's column.
    pub fn over(label: impl Into<String>) -> Self {
        Self { over: true, label: label.into(), strategy: Strategy::Auto, seed: 0 }
    }

    /// Drops rows of large classes.
    pub fn under(label: impl Into<String>) -> Self {
        Self { over: false, ..Self::over(label) }
    }

    /// Sets the final counts.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets the seed; 0 by default.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The quota for labels that were counted, and the labels' class ids.
    fn quota(&self, counts: &BTreeMap<String, usize>) -> Result<(Quota, BTreeMap<String, usize>)> {
        let ids = counts.keys().cloned().zip(0..).collect();
        let by_id = counts.values().copied().enumerate().collect();
        let quota = if self.over { Quota::over } else { Quota::under };
        Ok((quota(by_id, &self.strategy, self.seed)?, ids))
    }
}

fn failed(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FileError {
    FileError::File { path: path.to_path_buf(), source: source.into() }
}

/// Writes a file through a temporary beside it; a failure of `fill` leaves nothing behind.
fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let mut inner = None;
    let written = counterweight_core::write_atomic(path, |file| {
        fill(file).map_err(|error| {
            inner = Some(error);
            std::io::Error::other("the content could not be made")
        })
    });
    match (written, inner) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(error)) => Err(error),
        (Err(error), None) => Err(failed(path, error)),
    }
}

#[cfg(feature = "csv")]
mod by_row {
    use super::*;

    impl FileResampler {
        /// Resamples a CSV file with a header.
        ///
        /// # Errors
        /// [`FileError`].
        pub fn csv(
            &self,
            input: impl AsRef<Path>,
            output: impl AsRef<Path>,
        ) -> Result<FileSummary, FileError> {
            let (input, output) = (input.as_ref(), output.as_ref());
            let open = || csv::Reader::from_path(input).map_err(|e| failed(input, e));
            let mut reader = open()?;
            let header = reader.headers().map_err(|e| failed(input, e))?.clone();
            let Some(column) = header.iter().position(|name| name == self.label) else {
                return Err(FileError::NoColumn {
                    path: input.to_path_buf(),
                    column: self.label.clone(),
                    columns: header.iter().map(String::from).collect(),
                });
            };
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            let mut row = csv::StringRecord::new();
            while reader.read_record(&mut row).map_err(|e| failed(input, e))? {
                match counts.get_mut(&row[column]) {
                    Some(n) => *n += 1,
                    None => {
                        counts.insert(row[column].to_string(), 1);
                    }
                }
            }
            let (mut quota, ids) = self.quota(&counts)?;
            let mut after = vec![0; ids.len()];
            write(output, |file| {
                let mut reader = open()?;
                let mut writer = csv::Writer::from_writer(file);
                writer.write_record(&header).map_err(|e| failed(output, e))?;
                while reader.read_record(&mut row).map_err(|e| failed(input, e))? {
                    let Some(&id) = ids.get(&row[column]) else { continue };
                    let times = quota.next(id);
                    after[id] += times;
                    for _ in 0..times {
                        writer.write_record(&row).map_err(|e| failed(output, e))?;
                    }
                }
                writer.flush().map_err(|e| failed(output, e))
            })?;
            let counts = counts.into_iter().zip(after);
            Ok(FileSummary { counts: counts.map(|((label, n), m)| (label, (n, m))).collect() })
        }
    }
}

#[cfg(feature = "parquet")]
mod by_batch {
    use std::sync::Arc;

    use arrow_array::{Array, RecordBatch, UInt64Array};
    use arrow_cast::display::{ArrayFormatter, FormatOptions};
    use arrow_schema::DataType;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::ProjectionMask;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    impl FileResampler {
        /// Resamples a Parquet file, uncompressed or compressed with Snappy, batch by batch; the
        /// output has the same schema.
        ///
        /// # Errors
        /// [`FileError`].
        pub fn parquet(
            &self,
            input: impl AsRef<Path>,
            output: impl AsRef<Path>,
        ) -> Result<FileSummary, FileError> {
            let (input, output) = (input.as_ref(), output.as_ref());
            let open = || {
                let file = File::open(input).map_err(|e| failed(input, e))?;
                ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| failed(input, e))
            };
            let builder = open()?;
            let schema = builder.schema().clone();
            let Ok(column) = schema.index_of(&self.label) else {
                return Err(FileError::NoColumn {
                    path: input.to_path_buf(),
                    column: self.label.clone(),
                    columns: schema.fields().iter().map(|f| f.name().clone()).collect(),
                });
            };
            let kind = schema.field(column).data_type();
            let named = kind.is_integer()
                || matches!(
                    kind,
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean
                );
            if !named {
                return Err(FileError::Labels {
                    path: input.to_path_buf(),
                    column: self.label.clone(),
                    kind: kind.to_string(),
                });
            }
            let mask = ProjectionMask::roots(builder.parquet_schema(), [column]);
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for batch in builder.with_projection(mask).build().map_err(|e| failed(input, e))? {
                let batch = batch.map_err(|e| failed(input, e))?;
                for label in labels(batch.column(0).as_ref()).map_err(|e| failed(input, e))? {
                    *counts.entry(label).or_default() += 1;
                }
            }
            let (mut quota, ids) = self.quota(&counts)?;
            let mut after = vec![0; ids.len()];
            write(output, |file| {
                let reader = open()?.build().map_err(|e| failed(input, e))?;
                let mut writer = ArrowWriter::try_new(file, schema.clone(), None)
                    .map_err(|e| failed(output, e))?;
                for batch in reader {
                    let batch = batch.map_err(|e| failed(input, e))?;
                    let mut rows: Vec<u64> = Vec::new();
                    let found = labels(batch.column(column).as_ref());
                    for (row, label) in found.map_err(|e| failed(input, e))?.iter().enumerate() {
                        let Some(&id) = ids.get(label) else { continue };
                        let times = quota.next(id);
                        after[id] += times;
                        rows.extend(std::iter::repeat_n(row as u64, times));
                    }
                    let rows = UInt64Array::from(rows);
                    let taken: Result<Vec<Arc<dyn Array>>, _> = batch
                        .columns()
                        .iter()
                        .map(|column| arrow_select::take::take(column.as_ref(), &rows, None))
                        .collect();
                    let taken = taken.map_err(|e| failed(output, e))?;
                    let taken = RecordBatch::try_new(schema.clone(), taken)
                        .map_err(|e| failed(output, e))?;
                    writer.write(&taken).map_err(|e| failed(output, e))?;
                }
                writer.close().map(|_| ()).map_err(|e| failed(output, e))
            })?;
            let counts = counts.into_iter().zip(after);
            Ok(FileSummary { counts: counts.map(|((label, n), m)| (label, (n, m))).collect() })
        }
    }

    /// The labels of a batch as texts; a missing one is the empty text.
    fn labels(column: &dyn Array) -> Result<Vec<String>, arrow_schema::ArrowError> {
        let options = FormatOptions::default();
        let shown = ArrayFormatter::try_new(column, &options)?;
        (0..column.len()).map(|row| shown.value(row).try_to_string()).collect()
    }
}
