//! Ranking metrics against scikit-learn and torchmetrics, and expectations against all orders of tied items.

use counterweight_core::{ClassProfile, SegmentRule};
use counterweight_metrics::{
    AveragePrecision, EntropyBase, Gain, GiniScale, ItemExposure, Novelty, RankedQuery,
    SegmentParity, Ties,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    scores: Vec<f64>,
    distinct: Vec<f64>,
    relevance: Vec<f64>,
    k: usize,
    ndcg: f64,
    exponential: f64,
    average_precision: f64,
    precision: f64,
    recall: f64,
    hit_rate: f64,
    reciprocal_rank: f64,
}

#[test]
fn values_are_scikit_learns_and_torchmetrics() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/ranking.json")).unwrap();
    assert_eq!(cases.len(), 200);
    for c in cases {
        let query = RankedQuery::from_scores(&c.scores, &c.relevance, Ties::Expectation).unwrap();
        let near = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-12;
        assert!(near(query.ndcg(c.k, Gain::Linear).unwrap(), c.ndcg));
        assert!(near(query.ndcg(c.k, Gain::Exponential).unwrap(), c.exponential));
        let query = RankedQuery::from_scores(&c.distinct, &c.relevance, Ties::Expectation).unwrap();
        let all = query.average_precision(c.scores.len(), AveragePrecision::Relevant).unwrap();
        assert!(near(all, c.average_precision));
        assert!(near(Some(query.precision(c.k).unwrap()), c.precision));
        assert!(near(query.recall(c.k).unwrap(), c.recall));
        assert!(near(Some(query.hit_rate(c.k).unwrap()), c.hit_rate));
        assert!(near(query.reciprocal_rank(), c.reciprocal_rank));
    }
}

/// Every order of the items that the scores allow.
fn orders(scores: &[f64]) -> Vec<Vec<usize>> {
    fn extend(prefix: &mut Vec<usize>, scores: &[f64], all: &mut Vec<Vec<usize>>) {
        let left: Vec<usize> = (0..scores.len()).filter(|i| !prefix.contains(i)).collect();
        let Some(top) = left.iter().map(|&i| scores[i]).max_by(f64::total_cmp) else {
            all.push(prefix.clone());
            return;
        };
        for i in left.into_iter().filter(|&i| scores[i] == top) {
            prefix.push(i);
            extend(prefix, scores, all);
            prefix.pop();
        }
    }
    let mut all = Vec::new();
    extend(&mut Vec::new(), scores, &mut all);
    all
}

/// All metrics of a query at a cut.
fn metrics(query: &RankedQuery, k: usize) -> Vec<f64> {
    vec![
        query.ndcg(k, Gain::Linear).unwrap().unwrap_or(-1.0),
        query.ndcg(k, Gain::Exponential).unwrap().unwrap_or(-1.0),
        query.precision(k).unwrap(),
        query.recall(k).unwrap().unwrap_or(-1.0),
        query.hit_rate(k).unwrap(),
        query.average_precision(k, AveragePrecision::Relevant).unwrap().unwrap_or(-1.0),
        query.average_precision(k, AveragePrecision::MinOfCutAndRelevant).unwrap().unwrap_or(-1.0),
        query.reciprocal_rank().unwrap_or(-1.0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn tied_items_give_the_mean_over_their_orders(
        items in prop::collection::vec((0..3u8, 0..3u8), 1..7),
        k in 1..8usize,
    ) {
        let scores: Vec<f64> = items.iter().map(|i| f64::from(i.0)).collect();
        let relevance: Vec<f64> = items.iter().map(|i| f64::from(i.1)).collect();
        let query = RankedQuery::from_scores(&scores, &relevance, Ties::Expectation).unwrap();
        let expected = metrics(&query, k);
        let orders = orders(&scores);
        let mut mean = vec![0.0; expected.len()];
        for order in &orders {
            let list: Vec<f64> = order.iter().map(|&i| relevance[i]).collect();
            for (m, v) in mean.iter_mut().zip(metrics(&RankedQuery::from_list(&list).unwrap(), k)) {
                *m += v / orders.len() as f64;
            }
        }
        for (e, m) in expected.iter().zip(&mean) {
            prop_assert!((e - m).abs() < 1e-12, "{:?} {:?}", expected, mean);
        }
        // The input's order never matters.
        let (s, r): (Vec<f64>, Vec<f64>) =
            scores.iter().zip(&relevance).rev().map(|(s, r)| (*s, *r)).unzip();
        let turned = RankedQuery::from_scores(&s, &r, Ties::Expectation).unwrap();
        for (e, m) in expected.iter().zip(metrics(&turned, k)) {
            prop_assert!((e - m).abs() < 1e-12);
        }
    }

    #[test]
    fn a_seed_gives_one_of_the_orders(
        items in prop::collection::vec((0..2u8, 0..2u8), 1..6), k in 1..7usize, seed: u64,
    ) {
        let scores: Vec<f64> = items.iter().map(|i| f64::from(i.0)).collect();
        let relevance: Vec<f64> = items.iter().map(|i| f64::from(i.1)).collect();
        let by_seed = || RankedQuery::from_scores(&scores, &relevance, Ties::Seed(seed)).unwrap();
        prop_assert_eq!(by_seed(), by_seed());
        let got = metrics(&by_seed(), k);
        let any = orders(&scores).iter().any(|order| {
            let list: Vec<f64> = order.iter().map(|&i| relevance[i]).collect();
            metrics(&RankedQuery::from_list(&list).unwrap(), k) == got
        });
        prop_assert!(any);
    }
}

#[test]
fn known_values_come_out() {
    let first_is_second =
        RankedQuery::from_scores(&[3.0, 2.0, 1.0], &[0.0, 1.0, 1.0], Ties::Expectation).unwrap();
    assert_eq!(first_is_second.reciprocal_rank(), Some(0.5));
    let nothing = RankedQuery::from_list(&[0.0, 0.0]).unwrap();
    assert_eq!(nothing.ndcg(2, Gain::Linear).unwrap(), None);
    assert_eq!(nothing.reciprocal_rank(), None);
    assert_eq!(nothing.hit_rate(2).unwrap(), 0.0);
    let missed = RankedQuery::from_list_and_missed(&[], &[1.0]).unwrap();
    assert_eq!(missed.reciprocal_rank(), Some(0.0));
    assert_eq!(missed.ndcg(5, Gain::Linear).unwrap(), Some(0.0));
}

#[test]
fn bad_input_is_named() {
    let message = |scores: &[f64], relevance: &[f64]| {
        RankedQuery::from_scores(scores, relevance, Ties::Expectation).unwrap_err().to_string()
    };
    assert_eq!(message(&[f64::NAN], &[1.0]), "score = NaN is outside [-inf, inf]");
    assert_eq!(message(&[1.0], &[-1.0]), "relevance = -1 is outside [0, inf)");
    assert_eq!(message(&[1.0], &[]), "relevance has 0 items, expected 1");
    let query = RankedQuery::from_list(&[1.0]).unwrap();
    assert_eq!(query.precision(0).unwrap_err().to_string(), "k = 0 is outside [1, inf)");
    let profile = ClassProfile::from_counts([2, 1]).unwrap();
    let outside = ItemExposure::of_lists(&[vec![0], vec![5]], &profile).unwrap_err();
    assert_eq!(outside.to_string(), "class id 5 at row 1 is outside 0..2");
}

fn popular() -> ClassProfile {
    let rule = SegmentRule::Counts { head_above: 50, tail_below: 10 };
    ClassProfile::from_counts([100, 20, 4, 0]).unwrap().with_rule(rule).unwrap()
}

#[test]
fn exposure_by_hand() {
    let profile = popular();
    let lists = [vec![0, 2], vec![0, 1], vec![]];
    let shown = ItemExposure::of_lists(&lists, &profile).unwrap();
    let mut shards = ItemExposure::of_lists(&lists[1..], &profile).unwrap();
    shards.merge(&ItemExposure::of_lists(&lists[..1], &profile).unwrap()).unwrap();
    assert_eq!((shards.shown(), shards.tail_count()), (shown.shown(), shown.tail_count()));
    assert_eq!(shards.average_popularity(), shown.average_popularity());
    let brands = shown.by_group(&["a", "a", "b", "b"]).unwrap();
    assert_eq!(brands[0].0, "a");
    assert!((brands[0].1 + brands[1].1 - 1.0).abs() < 1e-12 && brands[0].1 > brands[1].1);
    assert_eq!(shown.shown(), [2, 1, 1, 0]);
    assert_eq!(shown.coverage(), 0.75);
    assert_eq!(shown.average_popularity(), Some((52.0 + 60.0) / 2.0));
    assert_eq!(shown.tail_share(), Some(0.25));
    assert_eq!(shown.tail_count(), Some(1.0 / 3.0));
    assert!((shown.entropy(EntropyBase::Bits).unwrap() - 1.5).abs() < 1e-12);
    assert!((shown.entropy(EntropyBase::Items).unwrap() - 0.75).abs() < 1e-12);
    // Sorted 0, 1, 1, 2: Σ (2i − n − 1) x = −1 + 1 + 6.
    assert!((shown.gini(GiniScale::Items).unwrap() - 6.0 / 16.0).abs() < 1e-12);
    let bits = |share: f64| -share.log2();
    let expected = ((bits(100.0 / 124.0) + bits(4.0 / 124.0)) / 2.0
        + (bits(100.0 / 124.0) + bits(20.0 / 124.0)) / 2.0)
        / 2.0;
    assert!((shown.novelty(Novelty::Interactions).unwrap().unwrap() - expected).abs() < 1e-12);
    let by_users = (bits(0.5) + bits(0.02) + bits(0.5) + bits(0.1)) / 4.0;
    assert!((shown.novelty(Novelty::Users(200)).unwrap().unwrap() - by_users).abs() < 1e-12);
    assert!(shown.novelty(Novelty::Users(99)).is_err());
    let d = 1.0 / 3f64.log2();
    let epc = ((0.5 + d * 0.98) / (1.0 + d) + (0.5 + d * 0.9) / (1.0 + d)) / 2.0;
    assert!((shown.popularity_complement(200).unwrap().unwrap() - epc).abs() < 1e-12);
    let report = shown.report();
    assert!((report[0].exposure - 2.0 / (2.0 + 2.0 * d)).abs() < 1e-12);
    assert!((report.iter().map(|r| r.shown).sum::<f64>() - 1.0).abs() < 1e-12);
    assert_eq!(report[2].items, 2);
}

#[test]
fn parity_between_segments() {
    let profile = popular();
    let spread = |lists: &[Vec<usize>], candidates: &[Vec<usize>]| {
        let mut parity = SegmentParity::new(&profile);
        for (list, items) in lists.iter().zip(candidates) {
            parity.update(list, items.iter().copied()).unwrap();
        }
        parity.spread()
    };
    let everything = [vec![0, 1, 2, 3], vec![0, 1, 2, 3]];
    // Everybody is shown everything: parity.
    assert_eq!(spread(&[vec![0, 1, 2, 3], vec![3, 2, 1, 0]], &everything), Some(0.0));
    // Only the head: rates 1, 0, 0.
    let head = [vec![0], vec![0]];
    let expected = (2.0f64 / 9.0).sqrt() * 3.0;
    assert!((spread(&head, &everything).unwrap() - expected).abs() < 1e-12);
    // Of liked items: the head's was shown, the tail's was not; nobody liked the middle.
    assert_eq!(spread(&head, &[vec![0], vec![2]]), Some(1.0));
    assert_eq!(spread(&[], &[]), None);
    let mut parity = SegmentParity::new(&profile);
    assert!(parity.update(&[0], [0, 9]).is_err());
    assert_eq!(parity.spread(), None);
    let none = ItemExposure::new(&profile);
    assert_eq!((none.gini(GiniScale::Items), none.average_popularity()), (None, None));
}
