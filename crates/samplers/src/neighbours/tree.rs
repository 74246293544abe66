//! A kd-tree (Bentley 1975) for tables of few columns.

use ndarray::{ArrayView2, Axis};

use super::{Neighbour, Visit};
use crate::table::Features;

/// Rows of a leaf.
const LEAF: usize = 24;

/// Rows halved again and again along their widest column.
pub(super) struct Tree<'a> {
    x: ArrayView2<'a, f64>,
    rows: Vec<usize>,
    nodes: Vec<Node>,
}

/// Rows `start..end`; with a split the next node holds those at most there in a column, node
/// `above` those at least there.
struct Node {
    start: usize,
    end: usize,
    split: Option<Split>,
}

struct Split {
    column: usize,
    at: f64,
    above: usize,
}

impl<'a> Tree<'a> {
    pub(super) fn new(x: ArrayView2<'a, f64>, pool: &[usize]) -> Self {
        let mut tree = Self { x, rows: pool.to_vec(), nodes: Vec::new() };
        tree.grow(0, pool.len());
        tree
    }

    fn grow(&mut self, start: usize, end: usize) -> usize {
        let node = self.nodes.len();
        self.nodes.push(Node { start, end, split: None });
        if end - start <= LEAF {
            return node;
        }
        let x = self.x;
        let rows = &mut self.rows[start..end];
        let spread = |column: usize| {
            let column = x.index_axis(Axis(1), column);
            let ends = (f64::INFINITY, f64::NEG_INFINITY);
            let (low, high) = rows
                .iter()
                .fold(ends, |(low, high), &row| (column[row].min(low), column[row].max(high)));
            high - low
        };
        let widest = (0..x.ncols()).map(|column| (spread(column), column));
        let Some((wide, column)) = widest.max_by(|a, b| a.0.total_cmp(&b.0)) else { return node };
        // Equal rows have no split.
        if wide > 0.0 {
            let half = rows.len() / 2;
            let column_of = x.index_axis(Axis(1), column);
            let (_, middle, _) =
                rows.select_nth_unstable_by(half, |&a, &b| column_of[a].total_cmp(&column_of[b]));
            let at = column_of[*middle];
            self.grow(start, start + half);
            let above = self.grow(start + half, end);
            self.nodes[node].split = Some(Split { column, at, above });
        }
        node
    }

    /// Shows a task every row that may be within its limit.
    pub(super) fn search<V: Visit>(&self, features: &Features<'_>, query: usize, task: &mut V) {
        let from = self.x.index_axis(Axis(0), query).to_vec();
        let mut gaps = vec![0.0; from.len()];
        self.descend(features, 0, (query, &from), &mut gaps, 0.0, task);
    }

    /// `gaps` are the distances of the query to the node's box by column, `bound` the sum of
    /// their squares.
    fn descend<V: Visit>(
        &self,
        features: &Features<'_>,
        node: usize,
        (query, from): (usize, &[f64]),
        gaps: &mut [f64],
        bound: f64,
        task: &mut V,
    ) {
        // Rounding may have raised the bound a little.
        if task.done() || bound * (1.0 - 1e-9) > task.limit() {
            return;
        }
        let Node { start, end, split } = &self.nodes[node];
        let Some(Split { column, at, above }) = split else {
            for &row in &self.rows[*start..*end] {
                if row != query && !task.done() {
                    task.visit(Neighbour { row, squared: features.squared(query, row) });
                }
            }
            return;
        };
        let gap = from[*column] - at;
        let (near, far) = if gap < 0.0 { (node + 1, *above) } else { (*above, node + 1) };
        self.descend(features, near, (query, from), gaps, bound, task);
        let old = gaps[*column];
        let further = bound - old * old + gap * gap;
        gaps[*column] = gap;
        self.descend(features, far, (query, from), gaps, further.max(bound), task);
        gaps[*column] = old;
    }
}
