//! Heads and attention against transformers (`fixtures/generate_heads.py`), and what they do with
//! odd input.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{Expected, fixtures, gap, values};
use counterweight_encoder::{
    Attribution, Checkpoint, ClassifierConfig, DualEncoder, EncoderConfig, Error, Featurizer,
    Freeze, HeadKind, NgramConfig, Pooling, PromptClassifier, Tagged, TextBatch, TextClassifier,
    TextTokenizer, TokenClassifier, TransformerConfig, Verbalizer, seeded, trainable,
};

#[test]
fn classifiers_of_transformers_are_loaded_with_their_heads() {
    let device = Device::flex();
    for family in ["bert", "roberta", "distilbert", "mpnet", "gpt2"] {
        let dir = fixtures().join("heads").join(family);
        let e = Expected::read(dir.join("expected.safetensors"));
        let model = Checkpoint::open(dir).unwrap().load_classifier(0.1, &device).unwrap();
        assert_eq!(model.classes(), 3);
        let logits = values(model.forward(&e.batch(false, &device)));
        let difference = gap(&logits, &e.floats("logits"), &[1.0; 3]);
        assert!(difference < 5e-5, "{family}: {difference}");
    }
    for family in ["bert-tokens", "roberta-tokens"] {
        let dir = fixtures().join("heads").join(family);
        let e = Expected::read(dir.join("expected.safetensors"));
        let model = Checkpoint::open(dir).unwrap().load_token_classifier(0.1, &device).unwrap();
        let logits = values(model.forward(&e.batch(false, &device)));
        let difference = gap(&logits, &e.floats("logits"), &e.floats("mask"));
        assert!(difference < 5e-5, "{family}: {difference}");
    }
    // An encoder without a head, and a pooler that a family does not have.
    let bert = Checkpoint::open(fixtures().join("families/bert")).unwrap();
    let missing = bert.load_classifier(0.1, &device).unwrap_err();
    assert!(missing.to_string().contains("classifier.weight"), "{missing}");
    assert!(bert.load_token_classifier(0.1, &device).is_err());
    assert!(bert.load_token_classifier(1.0, &device).is_err());
    let other = |config| TransformerConfig { pooling: Pooling::PreClassifier, ..config };
    assert!(matches!(bert.with_config(other), Err(Error::Unsupported { .. })));
    let distil = Checkpoint::open(fixtures().join("families/distilbert")).unwrap();
    let distil = distil.with_config(other).unwrap().load(&device);
    assert!(matches!(distil, Err(Error::Weights { missing: 2, .. })));
}

#[test]
fn attention_and_its_roll_out_are_those_of_transformers() {
    let device = Device::flex();
    for family in ["bert", "roberta", "xlm-roberta", "distilbert", "mpnet", "gpt2"] {
        let dir = fixtures().join("families").join(family);
        let e = Expected::read(dir.join("attentions.safetensors"));
        let batch = e.batch(false, &device);
        let checkpoint = Checkpoint::open(dir).unwrap();
        let model = checkpoint.load(&device).unwrap();
        let (mask, maps) = (e.floats("mask"), e.floats("maps"));
        let layers = model.attentions(&batch);
        assert_eq!(layers.len(), 2);
        for (layer, theirs) in layers.into_iter().zip(maps.chunks(3 * 4 * 49)) {
            let ours = values(layer);
            for (at, (a, b)) in ours.iter().zip(theirs).enumerate() {
                // What a place without a token takes is nobody's business.
                let (text, from) = (at / (4 * 49), at / 7 % 7);
                let counts = mask[text * 7 + from] == 1.0;
                assert!(!counts || (a - b).abs() < 1e-5, "{family} {at}: {a} and {b}");
            }
        }
        for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Last] {
            let with = |config| TransformerConfig { pooling, ..config };
            let dir = checkpoint.dir().to_owned();
            let model = Checkpoint::open(dir).unwrap().with_config(with).unwrap();
            let ours = values(model.load(&device).unwrap().attention_rollout(&batch));
            let rolled = TensorData::new(e.floats("rolled"), [3, 7, 7]);
            let rolled = Tensor::<3>::from_data(rolled, &device);
            for text in 0..3 {
                let tokens = mask[text * 7..][..7].iter().sum::<f32>() as usize;
                let rows = match pooling {
                    Pooling::Cls => 0..1,
                    Pooling::Last => tokens - 1..tokens,
                    _ => 0..tokens,
                };
                let whole = rolled.clone().narrow(0, text, 1).squeeze_dim::<2>(0);
                let theirs = values(whole.narrow(0, rows.start, rows.len()).mean_dim(0));
                let ours = &ours[text * 7..][..7];
                for (a, b) in ours.iter().zip(&theirs) {
                    assert!((a - b).abs() < 1e-5, "{family} {pooling:?}: {a} and {b}");
                }
                assert!((ours.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
        }
    }
}

const CORPUS: [&str; 5] = [
    "a lovely red dress",
    "blue jeans that fit",
    "the red jeans are lovely",
    "lovely dress",
    "it was great , not bad",
];

fn tokenizer(length: usize) -> TextTokenizer {
    TextTokenizer::train(&CORPUS, 90, length).unwrap()
}

fn small(tokenizer: &TextTokenizer) -> TransformerConfig {
    TransformerConfig {
        vocab_size: tokenizer.vocabulary(),
        hidden_size: 16,
        num_attention_heads: 2,
        intermediate_size: 24,
        max_position_embeddings: 24,
        ..TransformerConfig::default()
    }
}

#[test]
fn words_are_labelled_at_their_first_token() {
    let device = Device::flex();
    let tokenizer = tokenizer(8);
    // "reddress" is several pieces; an empty word is none; what is too long is cut off.
    let words = ["reddress", "", "red", "xyz", "lovely", "jeans", "fit", "that", "blue"];
    let long = tokenizer.encode_words(&words).unwrap();
    assert_eq!(long.words.len(), 8);
    let firsts: Vec<(usize, usize)> = long.firsts().collect();
    assert_eq!(firsts[0], (0, 1), "after the special token");
    assert!(firsts[1].0 == 2 && firsts[1].1 > 2, "{firsts:?}");
    assert!(firsts.len() < words.len() - 1);
    let short = tokenizer.encode_words(&["red", "red"]).unwrap();
    assert_eq!(short.firsts().collect::<Vec<_>>(), [(0, 1), (1, 2)], "a word and the same again");

    let none = tokenizer.encode_words(&[]).unwrap();
    assert_eq!(none.firsts().count(), 0);
    let rows: [&Tagged; 3] = [&long, &short, &none];
    let labels = [3, 9, 1, 0, 2, 2, 2, 2, 2];
    let both: [&[usize]; 3] = [&labels, &[1, 0], &[]];
    let targets = TokenClassifier::targets(&rows, &both, &device).unwrap();
    let targets: Vec<i64> = targets.try_into_vec_as().unwrap();
    assert_eq!(targets[1], 3);
    assert_eq!(targets[firsts[1].1], 1);
    assert_eq!(targets[8..12], [-100, 1, 0, -100]);
    assert_eq!(targets.iter().filter(|&&t| t != -100).count(), firsts.len() + 2);

    let model = small(&tokenizer).init(&device).unwrap();
    let model = TokenClassifier::new(model, &ClassifierConfig::new(4), 3, &device).unwrap();
    let answers = model.predict(&rows, &device).unwrap();
    assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [firsts.len(), 2, 0]);
    let alone = model.predict(&rows[1..2], &device).unwrap();
    assert_eq!(alone[0], answers[1], "padding changes nothing");

    let few: [&[usize]; 3] = [&labels[..2], &[1, 0], &[]];
    assert!(TokenClassifier::targets(&rows, &few, &device).is_err());
    assert!(TokenClassifier::targets(&rows, &both[..1], &device).is_err());
    let cosine = ClassifierConfig::new(4).with_head(HeadKind::Cosine { scale: 16.0 });
    let encoder = small(&tokenizer).init(&device).unwrap();
    assert!(TokenClassifier::new(encoder, &cosine, 3, &device).is_err());
}

#[test]
fn a_verbaliser_reads_its_words_at_the_mask() {
    let device = Device::flex();
    let tokenizer = tokenizer(14);
    let config = small(&tokenizer);
    let model = counterweight_encoder::MaskedLm::new(&config, &device).unwrap();
    let model = seeded(model, 0.2, 3);
    let question = Verbalizer::new("{text} , it was {mask}").unwrap();
    let question = question.class(["red", "lovely"]).class(["jeans"]);
    let prompt = PromptClassifier::new(model.clone(), &tokenizer, &question).unwrap();

    let mask = tokenizer.mask_id().unwrap();
    let long = "a lovely red dress that fit the blue jeans a lovely red dress that fit";
    let texts = ["a lovely dress", "", "jeans [MASK]", long];
    let rows: Vec<_> = texts.iter().map(|t| question.encode(&tokenizer, t).unwrap()).collect();
    let tail = |ids: &[u32]| ids[ids.len() - 4..].to_vec();
    for row in &rows {
        assert_eq!(row.ids.iter().filter(|&&id| id == mask).count(), 1);
        assert_eq!(tail(&row.ids), tail(&rows[0].ids), "the question is whole");
    }
    assert_eq!(rows[3].len(), 14, "as much of the text as there is room for");

    let logits = values(prompt.forward(&rows.iter().collect::<Vec<_>>(), &device).unwrap());
    for (row, logits) in rows.iter().zip(logits.chunks(2)) {
        let all = model.forward(&TextBatch::new(&[row], &device));
        let vocabulary = all.dims()[2];
        let at = row.ids.iter().position(|&id| id == mask).unwrap();
        let all = &values(all)[at * vocabulary..];
        let of = |word: &str| all[tokenizer.id(word).unwrap() as usize];
        assert!((logits[0] - (of("red") + of("lovely")) / 2.0).abs() < 1e-5);
        assert!((logits[1] - of("jeans")).abs() < 1e-5);
    }

    let plain = tokenizer.encode("a dress").unwrap();
    assert!(prompt.forward(&[&plain], &device).is_err(), "no mask");
    for template in ["{text} it was", "{mask}", "{text} {text} {mask}", ""] {
        assert!(Verbalizer::new(template).is_err(), "{template:?}");
    }
    let classes = |v: Verbalizer| PromptClassifier::new(model.clone(), &tokenizer, &v);
    let new = || Verbalizer::new("{mask}: {text}").unwrap();
    assert!(classes(new().class(["red"])).is_err(), "one class");
    assert!(classes(new().class(["red"]).class::<&str>([])).is_err(), "no word");
    assert!(classes(new().class(["red"]).class(["unheardof"])).is_err(), "not one piece");
    assert!(classes(new().class(["red"]).class(["jeans"])).is_ok());
    let wordy = Verbalizer::new(&format!("{long} {long} {{text}} {{mask}}")).unwrap();
    assert!(wordy.encode(&tokenizer, "red").is_err(), "no room for the question");
}

#[test]
fn class_vectors_make_the_nearest_mean_win() {
    let device = Device::flex();
    let config = EncoderConfig::Ngram(NgramConfig::new().with_min_count(1).with_dim(6));
    let features = config.fit_featurizer(&CORPUS).unwrap();
    let rows = features.encode_all(&CORPUS).unwrap();
    let labels = [0, 1, 1, 0, 2];
    for head in [HeadKind::Linear, HeadKind::Cosine { scale: 16.0 }] {
        let classifier = ClassifierConfig::new(3).with_head(head);
        let model = TextClassifier::new(&config, &features, &classifier, 5, &device).unwrap();
        let model = seeded(model, 0.5, 2);
        let means = model.class_means(&rows, &labels, &device).unwrap();
        let model = model.with_class_vectors(&means).unwrap();
        let batch = TextBatch::new(&rows.iter().collect::<Vec<_>>(), &device);
        let vectors = values(model.features(&batch));
        let logits = values(model.forward(&batch));
        for (x, logits) in vectors.chunks(6).zip(logits.chunks(3)) {
            let score = |m: &Vec<f32>| match head {
                HeadKind::Linear => {
                    -x.iter().zip(m).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / 2.0
                        + x.iter().map(|a| a * a).sum::<f32>() / 2.0
                }
                _ => {
                    let dot =
                        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                    16.0 * dot(x, m) / (dot(x, x) * dot(m, m)).sqrt()
                }
            };
            for (mean, logit) in means.iter().zip(logits) {
                assert!((score(mean) - logit).abs() < 1e-4, "{head:?}: {} {logit}", score(mean));
            }
        }
        assert!(model.clone().with_class_vectors(&means[..2]).is_err());
        assert!(model.clone().with_class_vectors(&[vec![0.0; 6], vec![0.0; 5], vec![]]).is_err());
        let nan = vec![vec![f32::NAN; 6]; 3];
        assert!(model.clone().with_class_vectors(&nan).is_err());
        assert!(model.class_means(&rows, &[0, 1, 1, 0, 1], &device).is_err(), "a class has none");
        assert!(model.class_means(&rows, &[0, 1, 1, 0, 3], &device).is_err());
        assert!(model.class_means(&rows, &[0], &device).is_err());
    }
    for bad in [
        ClassifierConfig::new(0),
        ClassifierConfig::new(2).with_dropout(1.0),
        ClassifierConfig::new(2).with_head(HeadKind::Cosine { scale: 0.0 }),
    ] {
        assert!(TextClassifier::new(&config, &features, &bad, 5, &device).is_err(), "{bad:?}");
    }
}

#[test]
fn towers_give_cosines() {
    let device = Device::flex();
    let config = EncoderConfig::Ngram(NgramConfig::new().with_min_count(1).with_dim(6));
    let features = config.fit_featurizer(&CORPUS).unwrap();
    let rows = features.encode_all(&CORPUS).unwrap();
    let encoder = |seed| seeded(config.init(&features, seed, &device).unwrap(), 0.5, seed);
    let batch = |rows: &[counterweight_encoder::Encoded]| {
        TextBatch::new(&rows.iter().collect::<Vec<_>>(), &device)
    };
    let (queries, items) = (batch(&rows[..2]), batch(&rows[1..]));
    let shared = DualEncoder::shared(encoder(1));
    let scores = values(shared.scores(&queries, &items));
    // The second query is the first item.
    assert!((scores[4] - 1.0).abs() < 1e-5 && scores.iter().all(|s| s.abs() <= 1.0 + 1e-5));
    let separate = DualEncoder::separate(encoder(1), encoder(2)).unwrap();
    assert_eq!(values(separate.queries(&queries)), values(shared.queries(&queries)));
    assert_ne!(values(separate.items(&items)), values(shared.items(&items)));
    let wide = EncoderConfig::Ngram(NgramConfig::new().with_min_count(1).with_dim(7));
    let wide = wide.init(&features, 1, &device).unwrap();
    assert!(DualEncoder::separate(encoder(1), wide).is_err());
}

#[test]
fn roll_out_explains_a_text_and_encoders_freeze() {
    let device = Device::flex();
    let tokenizer = tokenizer(14);
    let config = EncoderConfig::Transformer(small(&tokenizer));
    let features = Featurizer::Tokens(tokenizer);
    let head = ClassifierConfig::new(3).with_dropout(0.1);
    let model = TextClassifier::new(&config, &features, &head, 5, &device).unwrap();
    let text = "a lovely dress";
    let why = model.explain(&features, text, 1, Attribution::AttentionRollout, &device).unwrap();
    assert!(why.shares.iter().all(|s| s.value >= 0.0));
    assert!((why.total() - 1.0).abs() < 1e-5, "{why}");
    let other = model.explain(&features, text, 2, Attribution::AttentionRollout, &device).unwrap();
    assert_eq!(why.shares, other.shares, "of no class in particular");
    assert_ne!(why.logit, other.logit);

    let tracked = Device::flex().autodiff();
    let ngrams = EncoderConfig::Ngram(NgramConfig::new().with_min_count(1).with_dim(6));
    let hashed = ngrams.fit_featurizer(&CORPUS).unwrap();
    for (config, features) in [(&config, &features), (&ngrams, &hashed)] {
        let model = TextClassifier::new(config, features, &head, 5, &tracked).unwrap();
        let width = counterweight_encoder::Encoder::dim(model.encoder());
        let frozen = model.with_frozen_encoder();
        assert_eq!(trainable(frozen.encoder()).0, 0);
        assert_eq!(trainable(&frozen).0, 3 * width + 3);
    }
    let whole = config.init(&features, 1, &tracked).unwrap();
    assert!(trainable(&whole.frozen(Freeze::None)).0 > 0);
}
