//! Rows of a table as inputs of a network, and back.

use std::collections::BTreeMap;

use counterweight_core::{derive, rng};
use counterweight_kernels::Segments;
use ndarray::{Array2, ArrayView1, ArrayView2};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::mixture::{self, Mode};
use crate::table::mean_deviation;
use crate::{Column, Error, Result};

/// Deviations from a mode's mean that span `[-1, 1]` (Xu et al. 2019).
const SPAN: f64 = 4.0;

/// How numbers become inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Normalisation {
    /// Mode-specific (Xu et al. 2019): the mode as one-hot and the distance from its mean.
    Modes,
    /// Zero mean and unit variance.
    Standard,
}

/// The range of a column's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Decimals that all numbers have at most, if few.
    pub(crate) decimals: Option<i32>,
}

/// Most decimals that are kept.
const DECIMALS: i32 = 9;

/// A number with so many decimals.
fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    let scaled = value * unit;
    // Beyond 2⁵³ every number is whole.
    if scaled.abs() < 9e15 { scaled.round() / unit } else { value }
}

impl Range {
    pub(crate) fn of(values: &[f64], column: Column) -> Self {
        Self {
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            decimals: match column {
                Column::Integer => Some(0),
                _ => (0..=DECIMALS).find(|&d| values.iter().all(|&v| rounded(v, d) == v)),
            },
        }
    }

    /// No synthetic number leaves the range of the real ones or has more decimals.
    pub(crate) fn apply(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        self.decimals.map_or(value, |decimals| rounded(value, decimals))
    }
}

/// What became of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// One value, NaN when all are missing.
    Constant(#[serde(with = "nullable")] f64),
    Standard {
        at: usize,
        mean: f64,
        deviation: f64,
        range: Range,
    },
    Modes {
        at: usize,
        hot: usize,
        modes: Vec<Mode>,
        missing: bool,
        range: Range,
    },
    Levels {
        hot: usize,
        levels: Vec<Level>,
        rare: Vec<Level>,
    },
}

/// A category and how often it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Level {
    #[serde(with = "nullable")]
    pub(crate) value: f64,
    pub(crate) count: usize,
}

/// JSON has no NaN.
mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
        (!value.is_nan()).then_some(*value).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(d)?.unwrap_or(f64::NAN))
    }
}

/// One-hot blocks of equal width stand behind one another, so that a softmax over all of them
/// is one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) start: usize,
    pub(crate) width: usize,
    pub(crate) count: usize,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Codec {
    parts: Vec<Part>,
    numbers: usize,
    groups: Vec<Group>,
    width: usize,
}

/// Categories and their counts, the most frequent first.
pub(crate) fn levels(column: ArrayView1<'_, f64>) -> Vec<Level> {
    let mut counts: BTreeMap<u64, Level> = BTreeMap::new();
    for &value in column {
        // −0 and 0 are one category, and so are all NaN.
        let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
        counts.entry(value.to_bits()).or_insert(Level { value, count: 0 }).count += 1;
    }
    let mut levels: Vec<Level> = counts.into_values().collect();
    levels.sort_by(|a, b| b.count.cmp(&a.count).then(a.value.total_cmp(&b.value)));
    levels
}

impl Codec {
    /// Learns the columns of `x`, the last of which is the class and keeps all its levels; of
    /// other categories those beyond the `most` most frequent become one.
    pub(crate) fn fit(
        x: ArrayView2<'_, f64>,
        columns: &[Column],
        normalisation: Normalisation,
        most: usize,
        seed: u64,
    ) -> Self {
        let fitted = |at: usize| {
            let label = at + 1 == columns.len();
            let most = if label { usize::MAX } else { most };
            fit_column(
                x.column(at),
                columns[at],
                label,
                normalisation,
                most,
                derive(seed, at as u64),
            )
        };
        let mut parts: Vec<Part> = (0..columns.len()).into_par_iter().map(fitted).collect();
        // Numbers first, then the one-hot blocks by width.
        let mut numbers = 0;
        let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
        for part in &mut parts {
            if let Part::Standard { at, .. } | Part::Modes { at, .. } = part {
                *at = numbers;
                numbers += 1;
            }
            if let Some(width) = part.hot_width() {
                *widths.entry(width).or_default() += 1;
            }
        }
        let mut start = numbers;
        let mut groups = Vec::new();
        for (width, count) in widths {
            groups.push(Group { start, width, count });
            let mut next = start;
            for part in parts.iter_mut().filter(|p| p.hot_width() == Some(width)) {
                if let Part::Modes { hot, .. } | Part::Levels { hot, .. } = part {
                    *hot = next;
                    next += width;
                }
            }
            start = next;
        }
        Self { parts, numbers, groups, width: start }
    }

    /// Inputs of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The first inputs, which are numbers.
    pub(crate) fn numbers(&self) -> usize {
        self.numbers
    }

    /// What the inputs of a row are.
    pub(crate) fn segments(&self) -> Segments {
        Segments::new(self.numbers, self.groups.iter().map(|g| (g.width, g.count)))
    }

    /// Start and levels of every categorical column, the class last.
    pub(crate) fn categories(&self) -> Vec<(usize, &[Level])> {
        let blocks = self.parts.iter().filter_map(|part| match part {
            Part::Levels { hot, levels, .. } => Some((*hot, levels.as_slice())),
            _ => None,
        });
        blocks.collect()
    }

    /// `[rows, width]`.
    pub(crate) fn encode(&self, x: ArrayView2<'_, f64>, seed: u64) -> Array2<f32> {
        let mut out = Array2::<f32>::zeros((x.nrows(), self.width));
        let rows = out.as_slice_mut().map(|s| s.par_chunks_mut(self.width.max(1)));
        if let Some(rows) = rows {
            rows.enumerate().for_each(|(row, out)| {
                let mut rng = rng(derive(seed, row as u64));
                for (part, &value) in self.parts.iter().zip(x.row(row)) {
                    part.encode(value, out, &mut rng);
                }
            });
        }
        out
    }

    /// Rows of the table, the class included.
    pub(crate) fn decode(&self, inputs: ArrayView2<'_, f32>, seed: u64) -> Array2<f64> {
        let width = self.parts.len();
        let mut out = Array2::<f64>::zeros((inputs.nrows(), width));
        if let Some(rows) = out.as_slice_mut() {
            rows.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
                let mut rng = rng(derive(seed, row as u64));
                let inputs = inputs.row(row);
                for (part, out) in self.parts.iter().zip(out) {
                    *out = part.decode(inputs, &mut rng);
                }
            });
        }
        out
    }

    /// Whether what a file says fits together, so that no index leaves a row.
    pub(crate) fn is_whole(&self) -> bool {
        let within = |part: &Part| match part {
            Part::Constant(_) => true,
            Part::Standard { at, range, .. } => *at < self.numbers && range.low <= range.high,
            Part::Modes { at, hot, modes, missing, range } => {
                let end = hot.saturating_add(modes.len() + usize::from(*missing));
                *at < self.numbers
                    && !modes.is_empty()
                    && end <= self.width
                    && range.low <= range.high
            }
            Part::Levels { hot, levels, .. } => {
                !levels.is_empty() && hot.saturating_add(levels.len()) <= self.width
            }
        };
        let blocks = self.groups.iter().try_fold(self.numbers, |start, g| {
            let size = g.width.saturating_mul(g.count);
            (g.start == start && g.width > 0).then_some(start.saturating_add(size))
        });
        blocks == Some(self.width)
            && self.parts.iter().all(within)
            && matches!(self.parts.last(), Some(Part::Levels { .. }))
    }

    /// Levels of the class.
    pub(crate) fn classes(&self) -> usize {
        self.categories().last().map_or(0, |(_, levels)| levels.len())
    }

    /// Columns of the table, the class included.
    pub(crate) fn columns(&self) -> usize {
        self.parts.len()
    }

    /// The level of the last column that stands for a class.
    pub(crate) fn class_level(&self, class: usize) -> Result<usize> {
        let levels = self.categories().last().map_or(&[] as &[Level], |b| b.1);
        levels.iter().position(|l| l.value == class as f64).ok_or_else(|| {
            let mut known: Vec<usize> = levels.iter().map(|l| l.value as usize).collect();
            known.sort_unstable();
            Error::Class { class, known }
        })
    }
}

fn fit_column(
    values: ArrayView1<'_, f64>,
    column: Column,
    label: bool,
    normalisation: Normalisation,
    most: usize,
    seed: u64,
) -> Part {
    let mut found = levels(values);
    if found.len() == 1 && !label {
        return Part::Constant(found[0].value);
    }
    if column == Column::Category {
        let rare = if found.len() > most { found.split_off(most.max(1) - 1) } else { Vec::new() };
        if !rare.is_empty() {
            found.push(Level { value: f64::NAN, count: rare.iter().map(|l| l.count).sum() });
        }
        return Part::Levels { hot: 0, levels: found, rare };
    }
    let known: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    let range = Range::of(&known, column);
    match normalisation {
        Normalisation::Modes => Part::Modes {
            at: 0,
            hot: 0,
            modes: mixture::fit(&known, &mut rng(seed)),
            missing: known.len() < values.len(),
            range,
        },
        Normalisation::Standard => {
            // Two distinct values at least, or the column would be constant.
            let (mean, deviation) = mean_deviation(&known);
            Part::Standard { at: 0, mean, deviation, range }
        }
    }
}

impl Part {
    fn hot_width(&self) -> Option<usize> {
        match self {
            Self::Modes { modes, missing, .. } => Some(modes.len() + usize::from(*missing)),
            Self::Levels { levels, .. } => Some(levels.len()),
            _ => None,
        }
    }

    fn encode(&self, value: f64, out: &mut [f32], rng: &mut counterweight_core::Rng) {
        match self {
            Self::Constant(_) => {}
            Self::Standard { at, mean, deviation, .. } => {
                out[*at] = ((value - mean) / deviation) as f32;
            }
            Self::Modes { hot, modes, .. } if value.is_nan() => out[hot + modes.len()] = 1.0,
            Self::Modes { at, hot, modes, .. } => {
                let logs: Vec<f64> = modes.iter().map(|m| m.log_density(value)).collect();
                let mode = draw(&logs, rng);
                let z = (value - modes[mode].mean) / (SPAN * modes[mode].deviation);
                out[*at] = z.clamp(-0.99, 0.99) as f32;
                out[hot + mode] = 1.0;
            }
            Self::Levels { hot, levels, rare } => {
                let same = |l: &Level| l.value == value || (l.value.is_nan() && value.is_nan());
                let own = levels.len() - usize::from(!rare.is_empty());
                let at = levels[..own].iter().position(same).unwrap_or(levels.len() - 1);
                out[hot + at] = 1.0;
            }
        }
    }

    fn decode(&self, inputs: ArrayView1<'_, f32>, rng: &mut counterweight_core::Rng) -> f64 {
        let largest = |hot: usize, width: usize| {
            let by = |a: &usize, b: &usize| inputs[hot + a].total_cmp(&inputs[hot + b]);
            // The first of equal ones.
            (0..width).rev().max_by(by).unwrap_or(0)
        };
        match self {
            Self::Constant(value) => *value,
            Self::Standard { at, mean, deviation, range } => {
                range.apply(f64::from(inputs[*at]) * deviation + mean)
            }
            Self::Modes { at, hot, modes, missing, range } => {
                let mode = largest(*hot, modes.len() + usize::from(*missing));
                modes.get(mode).map_or(f64::NAN, |m| {
                    range.apply(f64::from(inputs[*at]) * SPAN * m.deviation + m.mean)
                })
            }
            Self::Levels { hot, levels, rare } => {
                let level = largest(*hot, levels.len());
                if rare.is_empty() || level + 1 < levels.len() {
                    return levels[level].value;
                }
                let logs: Vec<f64> = rare.iter().map(|l| (l.count as f64).ln()).collect();
                rare[draw(&logs, rng)].value
            }
        }
    }
}

/// An index with probability in proportion to `exp(logs)`.
pub(crate) fn draw(logs: &[f64], rng: &mut counterweight_core::Rng) -> usize {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|l| (l - top).exp()).collect();
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    let chosen = weights.iter().position(|w| {
        left -= w;
        left < 0.0
    });
    chosen.unwrap_or(weights.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn round_trip(x: &Array2<f64>, columns: &[Column], most: usize) -> (Codec, Array2<f64>) {
        let codec = Codec::fit(x.view(), columns, Normalisation::Modes, most, 1);
        let back = codec.decode(codec.encode(x.view(), 2).view(), 3);
        (codec, back)
    }

    #[test]
    fn what_is_encoded_comes_back() {
        let nan = f64::NAN;
        let x = array![
            [5.0, 0.1, 3.0, nan, 0.0],
            [5.0, 0.2, 3.0, nan, 1.0],
            [5.0, nan, 9.0, nan, 0.0],
            [5.0, 7.7, 4.0, nan, 0.0]
        ];
        use Column::{Category, Integer, Number};
        let (codec, back) = round_trip(&x, &[Number, Number, Category, Integer, Category], 100);
        for (a, b) in x.iter().zip(&back) {
            assert!((a - b).abs() < 1e-5 || (a.is_nan() && b.is_nan()), "{x} {back}");
        }
        // One number; its modes with one for missing values, three levels and two classes.
        assert_eq!(codec.numbers(), 1);
        assert_eq!(
            codec.class_level(7).unwrap_err().to_string(),
            "class 7 has no rows to learn from; classes with rows: [0, 1]"
        );
    }

    #[test]
    fn rare_levels_share_an_input_and_come_back_as_one_of_them() {
        let x = Array2::from_shape_fn((1000, 2), |(r, c)| {
            if c == 1 {
                0.0
            } else if r < 500 {
                (r % 2) as f64
            } else {
                r as f64
            }
        });
        let (codec, back) = round_trip(&x, &[Column::Category; 2], 10);
        assert_eq!(codec.width(), 11);
        assert!(back.column(0).iter().all(|v| x.column(0).iter().any(|w| w == v)));
        assert_eq!(back.column(0).iter().filter(|v| **v == 1.0).count(), 250);
    }

    #[test]
    fn a_codec_survives_json() {
        let x = array![[f64::NAN, 1.0, 0.0], [2.0, 1.0, 1.0], [2.5, f64::NAN, 0.0]];
        let columns = [Column::Number, Column::Category, Column::Category];
        let codec = Codec::fit(x.view(), &columns, Normalisation::Modes, 9, 1);
        let text = serde_json::to_string(&codec).unwrap();
        let again: Codec = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
    }
}
