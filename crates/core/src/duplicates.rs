use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::derive;

const HASHES: usize = 64;
const BANDS: usize = 16;
const SHINGLE: usize = 3;

/// Groups of texts that say the same, exactly or nearly.
///
/// *Exact* duplicates agree after [`normalise`]. *Near* duplicates have a
/// Jaccard similarity of their three-word shingles of at least the threshold;
/// candidates come from MinHash (Broder 1997) with banded locality-sensitive
/// hashing, 64 hashes in 16 bands; neighbours within a bucket are then compared
/// exactly. A pair at similarity .8 shares a bucket with probability
/// 1 − (1 − .8⁴)¹⁶ > .999.
///
/// Groups are what [`Split`](crate::Split) keeps together, so that no duplicate
/// crosses from training to test.
///
/// ```
/// use counterweight_core::Duplicates;
///
/// let found = Duplicates::find(&["A red dress!", "a red dress", "blue jeans"], 0.8);
/// assert_eq!(found.exact(), 1);
/// assert_eq!(found.groups()[0], found.groups()[1]);
/// assert_ne!(found.groups()[0], found.groups()[2]);
/// ```
#[derive(Debug, Clone)]
pub struct Duplicates {
    groups: Vec<usize>,
    exact: usize,
    near: usize,
}

impl Duplicates {
    /// Groups `texts`; pairs with Jaccard similarity ≥ `threshold` (0 to 1) are near
    /// duplicates. Empty texts are never duplicates of each other.
    pub fn find<S: AsRef<str>>(texts: &[S], threshold: f64) -> Self {
        let mut union = UnionFind::new(texts.len());
        let mut first: HashMap<String, usize> = HashMap::new();
        let mut distinct = Vec::new();
        let mut exact = 0;
        for (row, text) in texts.iter().enumerate() {
            let text = normalise(text.as_ref());
            if text.is_empty() {
                continue;
            }
            if let Some(&earlier) = first.get(&text) {
                union.join(earlier, row);
                exact += 1;
            } else {
                distinct.push((row, shingles(&text)));
                first.insert(text, row);
            }
        }
        let near = join_near(&distinct, threshold, &mut union);
        let groups = (0..texts.len()).map(|row| union.root(row)).collect();
        Self { groups, exact, near }
    }

    /// For each text, the row that stands for its group.
    pub fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// How many texts repeat an earlier one exactly.
    pub fn exact(&self) -> usize {
        self.exact
    }

    /// How many further texts are near duplicates of an earlier one.
    pub fn near(&self) -> usize {
        self.near
    }
}

/// Lower-cases a text and keeps its words (letters, digits, apostrophes),
/// separated by single spaces.
///
/// ```
/// assert_eq!(counterweight_core::normalise("  I LOVE it!! "), "i love it");
/// ```
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '\'') {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

fn shingles(text: &str) -> Vec<u64> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut hashes: Vec<u64> = if words.len() < SHINGLE {
        vec![hash(&words)]
    } else {
        words.windows(SHINGLE).map(|w| hash(&w)).collect()
    };
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn join_near(rows: &[(usize, Vec<u64>)], threshold: f64, union: &mut UnionFind) -> usize {
    let mut buckets: HashMap<(usize, u64), Vec<usize>> = HashMap::new();
    for (index, (_, set)) in rows.iter().enumerate() {
        let signature: Vec<u64> = (0..HASHES as u64)
            .map(|h| set.iter().map(|&s| derive(s, h)).min().unwrap_or(0))
            .collect();
        for (band, chunk) in signature.chunks(HASHES / BANDS).enumerate() {
            buckets.entry((band, hash(chunk))).or_default().push(index);
        }
    }
    let mut near = 0;
    let mut candidates: Vec<Vec<usize>> = buckets.into_values().filter(|b| b.len() > 1).collect();
    candidates.sort_unstable();
    for bucket in candidates {
        for pair in bucket.windows(2) {
            let (a, b) = (&rows[pair[0]], &rows[pair[1]]);
            if union.root(a.0) != union.root(b.0) && jaccard(&a.1, &b.1) >= threshold {
                union.join(a.0, b.0);
                near += 1;
            }
        }
    }
    near
}

fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut both) = (0, 0, 0usize);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                both += 1;
                i += 1;
                j += 1;
            }
        }
    }
    both as f64 / (a.len() + b.len() - both) as f64
}

struct UnionFind(Vec<usize>);

impl UnionFind {
    fn new(n: usize) -> Self {
        Self((0..n).collect())
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    /// The smaller row becomes the root, so that groups do not depend on order.
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_word_is_near_and_another_topic_is_not() {
        let long = "this dress is lovely and fits me very well around the waist and the \
                    colour is just as in the picture so i will buy another one soon";
        let changed = long.replace("soon", "today");
        let other = "these jeans are too tight in the leg and i had to send them back";
        let found = Duplicates::find(&[long, &changed, other], 0.8);
        assert_eq!((found.exact(), found.near()), (0, 1));
        assert_eq!(found.groups(), [0, 0, 2]);
    }

    #[test]
    fn empty_texts_stay_apart() {
        assert_eq!(Duplicates::find(&["", " ", "!"], 0.5).groups(), [0, 1, 2]);
    }
}
