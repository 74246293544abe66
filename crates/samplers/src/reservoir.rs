use std::collections::BTreeMap;

use counterweight_core::{Rng, derive, rng};
use rand::RngExt;

/// A uniform sample, without replacement, of a stream of unknown length for each class, in
/// memory for `capacity` items per class (Vitter's Algorithm R, 1985).
///
/// ```
/// use counterweight_samplers::Reservoir;
///
/// let mut reservoir = Reservoir::new(3, 7);
/// for i in 0..1000 {
///     reservoir.push(usize::from(i % 100 == 0), i);
/// }
/// assert_eq!(reservoir.seen(0), 990);
/// let sample = reservoir.into_items();
/// assert_eq!(sample.len(), 6);
/// assert!(sample.iter().all(|&(class, i)| class == usize::from(i % 100 == 0)));
/// ```
#[derive(Debug, Clone)]
pub struct Reservoir<T> {
    capacity: usize,
    seed: u64,
    classes: BTreeMap<usize, Kept<T>>,
}

#[derive(Debug, Clone)]
struct Kept<T> {
    rng: Rng,
    seen: usize,
    items: Vec<T>,
}

impl<T> Reservoir<T> {
    /// Room for `capacity` items of each class; each class has its own random stream.
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self { capacity, seed, classes: BTreeMap::new() }
    }

    /// Offers the next item of the stream.
    pub fn push(&mut self, class: usize, item: T) {
        let fresh =
            || Kept { rng: rng(derive(self.seed, class as u64)), seen: 0, items: Vec::new() };
        let kept = self.classes.entry(class).or_insert_with(fresh);
        kept.seen += 1;
        if kept.items.len() < self.capacity {
            kept.items.push(item);
        } else {
            let place = kept.rng.random_range(0..kept.seen);
            if let Some(old) = kept.items.get_mut(place) {
                *old = item;
            }
        }
    }

    /// How many items of a class were offered.
    pub fn seen(&self, class: usize) -> usize {
        self.classes.get(&class).map_or(0, |kept| kept.seen)
    }

    /// The sample with its classes, in order of class.
    pub fn into_items(self) -> Vec<(usize, T)> {
        let of =
            |(class, kept): (usize, Kept<T>)| kept.items.into_iter().map(move |item| (class, item));
        self.classes.into_iter().flat_map(of).collect()
    }
}
