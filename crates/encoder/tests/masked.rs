//! Masked tokens against transformers, sentence vectors, explanations.

mod common;

use burn::tensor::Device;
use common::{Expected, fixtures, gap, values};
use counterweight_encoder::{
    Attribution, Checkpoint, ClassifierConfig, EncoderConfig, Error, Featurizer, NgramConfig,
    SentenceEncoder, TextClassifier, TextTokenizer, TransformerConfig, hide_tokens,
};

#[test]
fn logits_of_tokens_are_those_of_transformers() {
    let device = Device::flex();
    for family in ["bert", "roberta", "distilbert", "mpnet"] {
        let dir = fixtures().join("masked").join(family);
        let e = Expected::read(dir.join("expected.safetensors"));
        let model = Checkpoint::open(dir).unwrap().load_masked_lm(&device).unwrap();
        let logits = values(model.forward(&e.batch(false, &device)));
        let difference = gap(&logits, &e.floats("logits"), &e.floats("mask"));
        assert!(difference < 5e-5, "{family}: {difference}");
    }
    let gpt2 = Checkpoint::open(fixtures().join("families/gpt2")).unwrap();
    assert!(matches!(gpt2.load_masked_lm(&device), Err(Error::Unsupported { .. })));
    // An encoder without the head.
    let bert = Checkpoint::open(fixtures().join("families/bert")).unwrap();
    assert!(matches!(bert.load_masked_lm(&device), Err(Error::Weights { missing: 5, .. })));
}

const CORPUS: [&str; 4] =
    ["a lovely red dress", "blue jeans that fit", "the red jeans are lovely", "lovely dress"];

fn small() -> TransformerConfig {
    TransformerConfig {
        vocab_size: 60,
        hidden_size: 16,
        num_attention_heads: 2,
        intermediate_size: 24,
        max_position_embeddings: 16,
        ..TransformerConfig::default()
    }
}

#[test]
fn masks_are_filled_after_pretraining_on_a_corpus() {
    use burn::module::Module;
    use burn::optim::{AdamWConfig, GradientsParams};
    use counterweight_encoder::{MaskedLm, seeded};
    let device = Device::flex().autodiff();
    let tokenizer = TextTokenizer::train(&CORPUS, 60, 16).unwrap();
    let config = TransformerConfig { vocab_size: tokenizer.vocabulary(), ..small() };
    let model = MaskedLm::new(&config.without_dropout(), &device).unwrap();
    let mut model = seeded(model, 0.05, 1);
    let rows: Vec<_> = CORPUS.iter().map(|t| tokenizer.encode(t).unwrap()).collect();
    let rows: Vec<_> = rows.iter().collect();
    let mut optimizer = AdamWConfig::new().init();
    for step in 0..150 {
        let hidden = hide_tokens(&tokenizer, &rows, 0.3, step).unwrap();
        assert!(hidden.places.len() >= rows.len(), "every text has a hidden token");
        for &(row, i, id) in &hidden.places {
            assert_eq!(rows[row].ids[i], id);
            assert!(!tokenizer.special_ids().contains(&id));
        }
        let gradients = model.loss(&hidden, &device).backward();
        let gradients = GradientsParams::from_grads(gradients, &model);
        model = optimizer.step(5e-3, model, gradients);
    }
    assert_eq!(
        hide_tokens(&tokenizer, &rows, 0.3, 5).unwrap(),
        hide_tokens(&tokenizer, &rows, 0.3, 5).unwrap()
    );
    let plain = Device::flex();
    let guesses = model.valid().fill(&tokenizer, "blue [MASK] that fit", 3, &plain).unwrap();
    assert_eq!((guesses.len(), guesses[0].len()), (1, 3));
    assert_eq!(guesses[0][0].token, "jeans", "{guesses:?}");
    assert!(guesses[0].is_sorted_by(|a, b| a.probability >= b.probability));
    assert!(model.valid().fill(&tokenizer, "no mask", 3, &plain).is_err());
    assert!(hide_tokens(&tokenizer, &rows, 1.0, 0).is_err());
}

#[test]
fn sentence_vectors_keep_order_and_length() {
    let device = Device::flex();
    let tokenizer = TextTokenizer::train(&CORPUS, 60, 16).unwrap();
    let config = TransformerConfig { vocab_size: tokenizer.vocabulary(), ..small() };
    let model = counterweight_encoder::seeded(config.init(&device).unwrap(), 0.2, 4);
    let encoder = SentenceEncoder::new(model, tokenizer, &device);
    let texts = ["a lovely red dress that fit", "", "jeans"];
    let together = encoder.clone().with_batch_size(2).unwrap().embed(&texts).unwrap();
    for (text, vector) in texts.iter().zip(&together) {
        let alone = &encoder.embed(&[text]).unwrap()[0];
        assert!(alone.iter().zip(vector).all(|(a, b)| (a - b).abs() < 1e-5), "{text:?}");
        assert!((vector.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    assert!(encoder.embed::<&str>(&[]).unwrap().is_empty());
    assert!(encoder.with_batch_size(0).is_err());
}

#[test]
fn shares_sum_to_the_logit() {
    let device = Device::flex();
    let config = EncoderConfig::Transformer(small());
    let features = config.fit_featurizer(&CORPUS).unwrap();
    let model = TextClassifier::new(
        &config,
        &features,
        &ClassifierConfig::new(3).with_dropout(0.1),
        5,
        &device,
    )
    .unwrap();
    // Larger weights, so that the way from zero bends.
    let model = counterweight_encoder::seeded(model, 0.3, 6);
    let text = "a lovely <red> dress";
    let explain = |by| model.explain(&features, text, 1, by, &device).unwrap();
    let exact = explain(Attribution::IntegratedGradients(400));
    assert_eq!(exact.shares.len(), features.encode(text).unwrap().len());
    let whole = exact.logit - exact.baseline;
    assert!((exact.total() - whole).abs() < 1e-2 * whole.abs().max(0.1), "{exact}");
    let row = features.encode(text).unwrap();
    let batch = counterweight_encoder::TextBatch::new(&[&row], &device);
    let logits = values(model.forward(&batch));
    assert!((f64::from(logits[1]) - exact.logit).abs() < 1e-5);
    let quick = explain(Attribution::GradientTimesInput);
    assert_eq!((quick.logit, quick.shares.len()), (exact.logit, exact.shares.len()));
    let html = exact.to_html();
    assert!(html.contains("&lt;") && !html.contains("<red>"), "{html}");
    assert_eq!(exact.shares[1].text, "a");

    let by = Attribution::GradientTimesInput;
    assert!(model.explain(&features, text, 3, by, &device).is_err());
    let one = Attribution::IntegratedGradients(1);
    assert!(model.explain(&features, text, 0, one, &device).is_err());
    let ngrams = NgramConfig::new().with_min_count(1);
    let ngrams: Featurizer = EncoderConfig::Ngram(ngrams).fit_featurizer(&CORPUS).unwrap();
    assert!(matches!(model.explain(&ngrams, text, 0, by, &device), Err(Error::Mismatch { .. })));
}
