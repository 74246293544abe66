//! Which trials are the good ones.

use std::cmp::Ordering;

use crate::study::dominates;
use crate::{Direction, State, TrialRecord, hypervolume};

/// Marks the best `n` trials: feasible complete ones first, then pruned ones, then
/// infeasible ones.
pub(super) fn good(
    told: &[(&TrialRecord, &[f64])],
    directions: &[Direction],
    n: usize,
) -> Vec<bool> {
    let mut complete = Vec::new();
    let mut pruned = Vec::new();
    let mut broken = Vec::new();
    for (i, (trial, _)) in told.iter().enumerate() {
        let violation = trial.violation();
        match (trial.losses(directions), trial.state) {
            _ if violation > 0.0 => broken.push((violation, i)),
            (Some(losses), _) => complete.push((losses, i)),
            (None, State::Pruned) => pruned.push((progress(trial, directions), i)),
            _ => {}
        }
    }
    let mut ranked: Vec<usize> = if directions.len() == 1 {
        complete.sort_by(|a, b| a.0[0].total_cmp(&b.0[0]));
        complete.into_iter().map(|(_, i)| i).collect()
    } else {
        fronts(complete, n)
    };
    pruned.sort_by(|a, b| a.0.0.cmp(&b.0.0).then(a.0.1.total_cmp(&b.0.1)));
    broken.sort_by(|a, b| a.0.total_cmp(&b.0));
    ranked.extend(pruned.into_iter().map(|(_, i)| i));
    ranked.extend(broken.into_iter().map(|(_, i)| i));
    let mut good = vec![false; told.len()];
    for &i in ranked.iter().take(n) {
        good[i] = true;
    }
    good
}

/// How a pruned trial ranks: by the last step, far first, then by what it reported there.
fn progress(trial: &TrialRecord, directions: &[Direction]) -> (i64, f64) {
    match (trial.last_report(), directions) {
        (Some((step, value)), [direction, ..]) if !value.is_nan() => (-step, direction.loss(value)),
        (Some((step, _)), _) => (-step, f64::INFINITY),
        (None, _) => (1, 0.0),
    }
}

/// Positions by non-dominated front, at least the first `n` of them in order: of the front
/// that does not fit whole, those that add most hypervolume, one after the other.
fn fronts(mut left: Vec<(Vec<f64>, usize)>, n: usize) -> Vec<usize> {
    let mut ranked = Vec::new();
    while !left.is_empty() && ranked.len() < n {
        let losses: Vec<Vec<f64>> = left.iter().map(|(l, _)| l.clone()).collect();
        let is_front = |(losses, _): &(Vec<f64>, usize), all: &[Vec<f64>]| {
            !all.iter().any(|other| dominates(other, losses))
        };
        let (front, rest): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|point| is_front(point, &losses));
        let room = n - ranked.len();
        if front.len() <= room {
            ranked.extend(front.into_iter().map(|(_, i)| i));
        } else {
            ranked.extend(spread(front, room));
        }
        left = rest;
    }
    ranked.extend(left.into_iter().map(|(_, i)| i));
    ranked
}

/// All of a front, first those that add most hypervolume to the ones before (greedy
/// subset selection; Guerreiro et al. 2016), `room` of them.
fn spread(mut front: Vec<(Vec<f64>, usize)>, room: usize) -> Vec<usize> {
    let objectives = front.first().map_or(0, |(l, _)| l.len());
    let reference: Vec<f64> = (0..objectives)
        .map(|k| {
            let worst = front.iter().map(|(l, _)| l[k]).fold(f64::NEG_INFINITY, f64::max);
            (1.1 * worst).max(0.9 * worst)
        })
        .collect();
    let mut chosen: Vec<Vec<f64>> = Vec::new();
    let mut order = Vec::new();
    while order.len() < room && !front.is_empty() {
        let gain = |losses: &[f64]| {
            let own: f64 = losses.iter().zip(&reference).map(|(l, r)| r - l).product();
            let limited: Vec<Vec<f64>> = chosen
                .iter()
                .map(|c| c.iter().zip(losses).map(|(a, b)| a.max(*b)).collect())
                .collect();
            own - hypervolume(&limited, &reference)
        };
        let gains: Vec<f64> = front.iter().map(|(l, _)| gain(l)).collect();
        let best = (0..front.len())
            .max_by(|&a, &b| gains[a].partial_cmp(&gains[b]).unwrap_or(Ordering::Equal))
            .unwrap_or(0);
        let (losses, i) = front.remove(best);
        chosen.push(losses);
        order.push(i);
    }
    order.extend(front.into_iter().map(|(_, i)| i));
    order
}
