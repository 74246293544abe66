use std::path::{Path, PathBuf};

use counterweight_core::{ClassProfile, Duplicates, LabelEncoder, SegmentRule, Split};

use super::csv_file;
use crate::{Error, Result};

/// Rows left out on reading, by the reader's stated rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Rows without a word in any text column.
    pub empty: usize,
    /// Rows without a label.
    pub unlabelled: usize,
}

/// Labelled texts.
#[derive(Debug, Clone)]
pub struct TextData {
    texts: Vec<String>,
    labels: Vec<usize>,
    groups: Vec<String>,
    encoder: LabelEncoder,
    skipped: Skipped,
}

/// Reads a CSV file (also gzipped) of texts.
///
/// ```no_run
/// use counterweight::TextReader;
///
/// let data = TextReader::new("reviews.csv.gz", "Class Name")
///     .text("Title")
///     .text("Review Text")
///     .group("Age")
///     .skip_incomplete()
///     .read()?;
/// println!("{} texts, {:?}", data.len(), data.skipped());
/// # Ok::<(), counterweight::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TextReader {
    path: PathBuf,
    label: String,
    texts: Vec<String>,
    group: Option<String>,
    skip: bool,
}

impl TextReader {
    /// A reader of `path` with the class in column `label`.
    pub fn new(path: impl Into<PathBuf>, label: impl Into<String>) -> Self {
        Self { path: path.into(), label: label.into(), texts: Vec::new(), group: None, skip: false }
    }

    /// Adds a text column; several are joined by a blank.
    #[must_use]
    pub fn text(mut self, column: impl Into<String>) -> Self {
        self.texts.push(column.into());
        self
    }

    /// Keeps a column for fairness by group.
    #[must_use]
    pub fn group(mut self, column: impl Into<String>) -> Self {
        self.group = Some(column.into());
        self
    }

    /// Leaves out rows without a text or a label and counts them, instead of failing on
    /// the first.
    #[must_use]
    pub fn skip_incomplete(mut self) -> Self {
        self.skip = true;
        self
    }

    /// Reads and checks the file.
    ///
    /// # Errors
    /// When the file is missing, not UTF-8 or no CSV, lacks a column, or has a row without
    /// text or label (unless skipped).
    pub fn read(&self) -> Result<TextData> {
        let path: &Path = &self.path;
        let mut skipped = Skipped::default();
        let (mut texts, mut names, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        csv_file::read(
            path,
            |header| {
                let find = |column: &String| csv_file::position(path, header, column);
                let columns = self.texts.iter().map(find).collect::<Result<Vec<_>>>()?;
                Ok((columns, find(&self.label)?, self.group.as_ref().map(find).transpose()?))
            },
            |(columns, label, group), row, record| {
                let label = *label;
                let cell = |i: usize| record.get(i).unwrap_or("").trim();
                let parts: Vec<&str> =
                    columns.iter().map(|&c| cell(c)).filter(|t| !t.is_empty()).collect();
                let text = parts.join(" ");
                let missing = |what: &str| Error::Row {
                    path: path.to_owned(),
                    row,
                    reason: format!("no {what}"),
                };
                if cell(label).is_empty() {
                    skipped.unlabelled += 1;
                    return if self.skip { Ok(()) } else { Err(missing("label")) };
                }
                if !text.contains(char::is_alphanumeric) {
                    skipped.empty += 1;
                    return if self.skip { Ok(()) } else { Err(missing("text")) };
                }
                texts.push(text);
                names.push(cell(label).to_owned());
                groups.extend(group.map(|g| cell(g).to_owned()));
                Ok(())
            },
        )?;
        let mut data = TextData::new(texts, &names)?;
        data.groups = groups;
        data.skipped = skipped;
        Ok(data)
    }
}

impl TextData {
    /// Texts and their class names, aligned.
    ///
    /// # Errors
    /// When there is none, lengths differ, or a text has no word.
    pub fn new<S: AsRef<str>>(texts: Vec<String>, labels: &[S]) -> Result<Self> {
        Self::with_encoder(texts, labels, LabelEncoder::fit(labels.iter().map(AsRef::as_ref)))
    }

    /// Texts labelled in the classes of an earlier data set.
    ///
    /// # Errors
    /// As [`new`](Self::new), and for a class that `encoder` does not know.
    pub fn with_encoder<S: AsRef<str>>(
        texts: Vec<String>,
        labels: &[S],
        encoder: LabelEncoder,
    ) -> Result<Self> {
        if texts.is_empty() {
            return Err(counterweight_core::Error::Empty { what: "texts" }.into());
        }
        counterweight_core::ensure_length("labels", labels.len(), texts.len())?;
        check_texts(&texts)?;
        Ok(Self {
            labels: encoder.encode(labels.iter().map(AsRef::as_ref))?,
            texts,
            groups: Vec::new(),
            encoder,
            skipped: Skipped::default(),
        })
    }

    /// The texts.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Class ids.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The group column, empty if none was read.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Class names and ids.
    pub fn encoder(&self) -> &LabelEncoder {
        &self.encoder
    }

    /// Rows left out on reading.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Never true: empty data are refused.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Replaces each group value, say an age by its band.
    #[must_use]
    pub fn map_groups(mut self, f: impl FnMut(&String) -> String) -> Self {
        self.groups = self.groups.iter().map(f).collect();
        self
    }

    /// Counts per class.
    ///
    /// # Errors
    /// For a segment rule out of range.
    pub fn profile(&self, rule: SegmentRule) -> Result<ClassProfile> {
        Ok(ClassProfile::from_labels(&self.labels, self.encoder.names())?.with_rule(rule)?)
    }

    /// Exact duplicates and near ones (Jaccard ≥ `threshold` on word triples).
    pub fn duplicates(&self, threshold: f64) -> Duplicates {
        Duplicates::find(&self.texts, threshold)
    }

    /// Train, dev and test by shares, stratified; rows of one duplicate group stay
    /// together. The profile is the training part's.
    ///
    /// # Errors
    /// For bad shares or segment rules.
    pub fn split(
        &self,
        shares: [f64; 3],
        seed: u64,
        duplicates: &Duplicates,
        rule: SegmentRule,
    ) -> Result<TextSplits> {
        let split = Split::stratified(shares).with_seed(seed).with_groups(duplicates.groups());
        let parts = split.indices(&self.labels)?;
        let take = |part: usize| self.select(&parts[part]);
        let train = take(0);
        Ok(TextSplits {
            profile: train.profile(rule)?,
            dev: take(1),
            test: take(2),
            train,
            rows: parts,
        })
    }

    /// Some rows, in the given order; the classes stay those of the whole.
    ///
    /// # Panics
    /// When a row is outside the data, as slice indexing does.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let groups = rows.iter().filter_map(|&r| self.groups.get(r).cloned());
        Self {
            texts: rows.iter().map(|&r| self.texts[r].clone()).collect(),
            labels: rows.iter().map(|&r| self.labels[r]).collect(),
            groups: groups.collect(),
            encoder: self.encoder.clone(),
            skipped: Skipped::default(),
        }
    }
}

/// Refuses texts without a letter or digit.
pub(crate) fn check_texts<S: AsRef<str>>(texts: &[S]) -> Result<()> {
    let empty = texts.iter().position(|t| !t.as_ref().contains(char::is_alphanumeric));
    empty.map_or(Ok(()), |row| Err(Error::EmptyText { row }))
}

/// Texts divided for training, choosing and judging.
#[derive(Debug, Clone)]
pub struct TextSplits {
    /// For training.
    pub train: TextData,
    /// For early stopping, search and the decision.
    pub dev: TextData,
    /// For the final comparison only.
    pub test: TextData,
    /// Counts and segments of the training part.
    pub profile: ClassProfile,
    /// The rows of the undivided data in each part.
    pub rows: Vec<Vec<usize>>,
}
