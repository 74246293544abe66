use rayon::slice::ParallelSliceMut;

use crate::CurveMetric;

/// Rows sorted by score once, for the curves of any number of reweightings.
pub(super) struct Ranked {
    /// Positives (as places among the positives) by falling score, and negatives.
    order: [Vec<u32>; 2],
    /// For each distinct score how many positives and negatives are at or above it.
    ends: Vec<[u32; 2]>,
}

/// Room for the running sums of one resample.
#[derive(Default)]
pub(super) struct Sums([Vec<u32>; 2]);

impl Ranked {
    /// `sides` are the rows of positives and negatives.
    pub(super) fn new(scores: &[f64], sides: &[Vec<u32>; 2]) -> Self {
        let sorted = |rows: &Vec<u32>| {
            let mut places: Vec<(f64, u32)> =
                (0u32..).zip(rows).map(|(at, &row)| (scores[row as usize] + 0.0, at)).collect();
            places.par_sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            places
        };
        let (positives, negatives) = (sorted(&sides[0]), sorted(&sides[1]));
        let (mut i, mut j) = (0, 0);
        let mut ends = Vec::new();
        loop {
            let score = match (positives.get(i), negatives.get(j)) {
                (Some(a), Some(b)) => a.0.max(b.0),
                (Some(one), None) | (None, Some(one)) => one.0,
                (None, None) => break,
            };
            while positives.get(i).is_some_and(|p| p.0 == score) {
                i += 1;
            }
            while negatives.get(j).is_some_and(|n| n.0 == score) {
                j += 1;
            }
            ends.push([i as u32, j as u32]);
        }
        let places = |side: Vec<(f64, u32)>| side.into_iter().map(|(_, at)| at).collect();
        Self { order: [places(positives), places(negatives)], ends }
    }

    /// The metric with every positive and negative taken as often as `counts` says; both sides
    /// must be taken at least once.
    pub(super) fn value(
        &self,
        metric: CurveMetric,
        counts: &[Vec<u32>; 2],
        room: &mut Sums,
    ) -> f64 {
        for ((sums, order), counts) in room.0.iter_mut().zip(&self.order).zip(counts) {
            sums.clear();
            sums.push(0);
            let mut sum = 0;
            sums.extend(order.iter().map(|&at| {
                sum += counts[at as usize];
                sum
            }));
        }
        let [above_p, above_n] = &room.0;
        let total = |sums: &Vec<u32>| f64::from(sums.last().copied().unwrap_or(0));
        let (positives, negatives) = (total(above_p), total(above_n));
        let at = |end: &[u32; 2]| (above_p[end[0] as usize], above_n[end[1] as usize]);
        match metric {
            CurveMetric::Auroc => {
                let (mut area, mut before) = (0u64, (0, 0));
                for end in &self.ends {
                    let here = at(end);
                    area += u64::from(here.1 - before.1) * u64::from(before.0 + here.0);
                    before = here;
                }
                area as f64 / (2.0 * positives * negatives)
            }
            CurveMetric::AveragePrecision => {
                let (mut sum, mut before) = (0.0, 0);
                for end in &self.ends {
                    let (tp, fp) = at(end);
                    if tp > before {
                        sum += f64::from(tp - before) * f64::from(tp) / f64::from(tp + fp);
                        before = tp;
                    }
                }
                sum / positives
            }
            CurveMetric::Ks => {
                let gap = |end: &[u32; 2]| {
                    let (tp, fp) = at(end);
                    (f64::from(tp) / positives - f64::from(fp) / negatives).abs()
                };
                self.ends.iter().map(gap).fold(0.0, f64::max)
            }
        }
    }
}
