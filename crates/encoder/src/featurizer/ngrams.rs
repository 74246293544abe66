use std::collections::BTreeMap;

use counterweight_core::normalise;
use serde::{Deserialize, Serialize};

use crate::Encoded;

/// Hashed word n-grams with TF-IDF weights, as fastText's features (Joulin et al., EACL
/// 2017) weighted like scikit-learn's `TfidfVectorizer(sublinear_tf=True)`.
///
/// A text is lower-cased words; every word and every run of up to `words` words is hashed
/// (FNV-1a) into one of `buckets`. Buckets seen in fewer than `min_count` training texts
/// are dropped. Weights are `(1 + ln tf) · (ln((1 + N) / (1 + df)) + 1)`, scaled to unit
/// length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct HashedNgrams {
    words: usize,
    buckets: u32,
    /// Kept buckets, ascending; the id of `kept[i]` is `i + 1`, 0 is padding.
    kept: Vec<u32>,
    idf: Vec<f32>,
}

/// Features as read from a file, not yet checked.
#[derive(Deserialize)]
struct Stored {
    words: usize,
    buckets: u32,
    kept: Vec<u32>,
    idf: Vec<f32>,
}

impl TryFrom<Stored> for HashedNgrams {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let Stored { words, buckets, kept, idf } = stored;
        if words == 0 || buckets == 0 {
            return Err("words and buckets must be at least 1");
        }
        if kept.len() != idf.len() || !kept.is_sorted() {
            return Err("kept buckets must be ascending, each with one idf");
        }
        Ok(Self { words, buckets, kept, idf })
    }
}

impl HashedNgrams {
    /// Fits buckets and document frequencies on a corpus.
    pub fn fit<S: AsRef<str>>(corpus: &[S], words: usize, buckets: u32, min_count: u32) -> Self {
        let mut frequency = vec![0u32; buckets as usize];
        for text in corpus {
            for &bucket in count(text.as_ref(), words, buckets).keys() {
                frequency[bucket as usize] += 1;
            }
        }
        let total = corpus.len() as f64;
        let idf = |df: u32| (((1.0 + total) / (1.0 + f64::from(df))).ln() + 1.0) as f32;
        let seen = frequency.iter().enumerate().filter(|&(_, &df)| df >= min_count.max(1));
        let (kept, idf) = seen.map(|(bucket, &df)| (bucket as u32, idf(df))).unzip();
        Self { words, buckets, kept, idf }
    }

    /// Encodes one text; without any known n-gram it is one padding id of weight 0.
    pub fn encode(&self, text: &str) -> Encoded {
        let mut encoded = Encoded::default();
        for (bucket, tf) in count(text, self.words, self.buckets) {
            if let Ok(index) = self.kept.binary_search(&bucket) {
                encoded.ids.push(index as u32 + 1);
                encoded.weights.push((1.0 + (tf as f32).ln()) * self.idf[index]);
            }
        }
        let norm = encoded.weights.iter().map(|w| w * w).sum::<f32>().sqrt();
        if encoded.ids.is_empty() {
            encoded.ids.push(0);
            encoded.weights.push(0.0);
        } else {
            encoded.weights.iter_mut().for_each(|w| *w /= norm);
        }
        encoded
    }

    /// Kept buckets and padding.
    pub fn vocabulary(&self) -> usize {
        self.kept.len() + 1
    }
}

fn count(text: &str, words: usize, buckets: u32) -> BTreeMap<u32, u32> {
    let text = normalise(text);
    let tokens: Vec<&str> = text.split(' ').filter(|w| !w.is_empty()).collect();
    let mut counts = BTreeMap::new();
    for start in 0..tokens.len() {
        let mut hash = FNV_OFFSET;
        for word in tokens[start..].iter().take(words) {
            hash = fnv(fnv(hash, word.as_bytes()), b" ");
            // FNV's low bits are its weak ones.
            *counts.entry(((hash ^ (hash >> 32)) % u64::from(buckets)) as u32).or_insert(0) += 1;
        }
    }
    counts
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_tf_idf() {
        let corpus = ["red dress", "red red shoe", "blue dress"];
        let features = HashedNgrams::fit(&corpus, 1, 1 << 20, 1);
        assert_eq!(features.vocabulary(), 5);
        let encoded = features.encode("red red shoe");
        // scikit-learn: TfidfVectorizer(sublinear_tf=True).fit(corpus).transform(...)
        let mut weights = encoded.weights.clone();
        weights.sort_by(f32::total_cmp);
        let (red, shoe) = ((1.0 + 2f64.ln()) * ((4f64 / 3.0).ln() + 1.0), 2f64.ln() + 1.0);
        let norm = red.hypot(shoe);
        assert!((f64::from(weights[0]) - shoe.min(red) / norm).abs() < 1e-6);
        assert!((f64::from(weights[1]) - shoe.max(red) / norm).abs() < 1e-6);
    }

    #[test]
    fn word_order_matters_only_to_bigrams() {
        let corpus = ["not good", "good not"];
        let one = HashedNgrams::fit(&corpus, 1, 1 << 16, 1);
        assert_eq!(one.encode("not good"), one.encode("good not"));
        let two = HashedNgrams::fit(&corpus, 2, 1 << 16, 1);
        assert_ne!(two.encode("not good"), two.encode("good not"));
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let features = HashedNgrams::fit(&["a b"], 1, 1 << 16, 1);
        let json = serde_json::to_string(&features).unwrap();
        assert_eq!(serde_json::from_str::<HashedNgrams>(&json).unwrap(), features);
        let damaged = json.replace("\"buckets\":65536", "\"buckets\":0");
        assert!(serde_json::from_str::<HashedNgrams>(&damaged).is_err());
    }

    #[test]
    fn unknown_and_empty_texts_are_padding() {
        let features = HashedNgrams::fit(&["a b"], 2, 1 << 16, 1);
        for text in ["", "zzz", "!?"] {
            let encoded = features.encode(text);
            assert_eq!((encoded.ids, encoded.weights), (vec![0], vec![0.0]));
        }
    }
}
