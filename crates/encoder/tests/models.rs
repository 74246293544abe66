//! Seeds, model files and tokenisation.

use burn::tensor::Device;
use counterweight_encoder::{
    ClassifierConfig, Encoder, EncoderConfig, Error, Featurizer, ModelDir, NgramConfig, Pieces,
    TextBatch, TextClassifier, TextTokenizer, TransformerConfig, load_weights, weights_bytes,
};
use std::path::Path;

const CORPUS: [&str; 6] = [
    "a lovely red dress",
    "blue jeans that fit",
    "the red jeans are lovely",
    "a dress that does not fit",
    "lovely lovely dress",
    "jeans, jeans and jeans",
];

fn configs() -> [EncoderConfig; 2] {
    [
        EncoderConfig::Ngram(NgramConfig::new().with_dim(6).with_min_count(1)),
        EncoderConfig::Transformer(TransformerConfig {
            vocab_size: 60,
            hidden_size: 8,
            num_attention_heads: 2,
            intermediate_size: 16,
            max_position_embeddings: 12,
            ..TransformerConfig::default()
        }),
    ]
}

fn head(classes: usize) -> ClassifierConfig {
    ClassifierConfig::new(classes).with_dropout(0.1)
}

fn logits(model: &TextClassifier, config: &EncoderConfig) -> Vec<f32> {
    let features = config.fit_featurizer(&CORPUS).unwrap();
    let rows = features.encode_all(&CORPUS).unwrap();
    let batch = TextBatch::new(&rows.iter().collect::<Vec<_>>(), &Device::flex());
    model.forward(&batch).into_data().try_to_vec().unwrap()
}

#[test]
fn a_seed_decides_the_weights_and_files_keep_them() {
    let device = Device::flex();
    for config in configs() {
        let features = config.fit_featurizer(&CORPUS).unwrap();
        let new = |seed| TextClassifier::new(&config, &features, &head(3), seed, &device).unwrap();
        let (first, other) = (new(1), new(2));
        assert_eq!(logits(&first, &config), logits(&new(1), &config));
        assert_ne!(logits(&first, &config), logits(&other, &config));
        let bytes = weights_bytes(&first).unwrap();
        let loaded = load_weights(other, bytes.clone(), Path::new("m")).unwrap();
        assert_eq!(logits(&first, &config), logits(&loaded, &config));

        // A file of another model or half a file is refused.
        let wider = TextClassifier::new(&config, &features, &head(4), 1, &device).unwrap();
        assert!(load_weights(wider, bytes.clone(), Path::new("m")).is_err());
        assert!(load_weights(new(1), bytes[..bytes.len() / 2].to_vec(), Path::new("m")).is_err());
    }
    let [ngram, transformer] = configs();
    let features = ngram.fit_featurizer(&CORPUS).unwrap();
    let mixed = TextClassifier::new(&transformer, &features, &head(3), 1, &device).unwrap_err();
    assert!(matches!(mixed, Error::Mismatch { .. }));
}

#[test]
fn wordpieces_wrap_cut_and_survive_json() {
    let [_, config] = configs();
    let features = config.fit_featurizer(&CORPUS).unwrap();
    let short = features.encode("lovely").unwrap();
    let long = features.encode(&"jeans ".repeat(50)).unwrap();
    assert_eq!(long.len(), 12, "cut at the model's positions");
    assert_eq!(short.ids[0], long.ids[0], "[CLS] first");
    assert_eq!(short.ids.last(), long.ids.last(), "[SEP] last");
    assert_eq!(features.encode("").unwrap().len(), 2);
    let json = serde_json::to_string(&features).unwrap();
    let again: counterweight_encoder::Featurizer = serde_json::from_str(&json).unwrap();
    assert_eq!(again.encode("lovely dress").unwrap(), features.encode("lovely dress").unwrap());
}

#[test]
fn bytes_make_every_text_known() {
    let corpus: Vec<String> =
        CORPUS.iter().flat_map(|t| [t.to_string(), t.to_uppercase()]).collect();
    let config = EncoderConfig::Transformer(TransformerConfig {
        vocab_size: 300,
        hidden_size: 8,
        num_attention_heads: 2,
        intermediate_size: 16,
        max_position_embeddings: 40,
        pieces: Pieces::ByteLevelBpe,
        ..TransformerConfig::default()
    });
    let features = config.fit_featurizer(&corpus).unwrap();
    assert_eq!(features.vocabulary(), 300);
    let Featurizer::Tokens(tokenizer) = &features else { panic!("not subword") };
    let again = TextTokenizer::train_bpe(&corpus, 300, 40).unwrap();
    assert_eq!(again.to_json().unwrap(), tokenizer.to_json().unwrap(), "the same each time");

    let unknown = tokenizer.id("<unk>").unwrap();
    for text in ["a lovely Dress", "Größe 中文 🦁\u{0}\n", "", " "] {
        let spans = tokenizer.spans(text).unwrap();
        assert!(!spans.encoded.ids.contains(&unknown), "{text:?}: {:?}", spans.tokens);
        assert_eq!((spans.tokens.first().unwrap().as_str(), spans.special[0]), ("<s>", true));
        assert_eq!(spans.tokens.last().unwrap(), "</s>");
        // The bytes of the tokens are the text's.
        let pieces = spans.offsets.iter().zip(&spans.special).filter(|(_, special)| !**special);
        let covered = pieces.map(|(&(_, end), _)| end).max().unwrap_or(0);
        assert_eq!(covered, text.len());
    }
    let words = tokenizer.spans("a lovely DRESS").unwrap().tokens;
    assert!(words.contains(&"Ġlovely".to_owned()), "{words:?}");
    let lower = tokenizer.encode("a lovely dress").unwrap();
    assert_ne!(tokenizer.encode("a lovely DRESS").unwrap(), lower, "case is kept");
    assert_eq!(tokenizer.token(tokenizer.mask_id().unwrap()).unwrap(), "<mask>");
    let pair = tokenizer.encode_pair("red", "blue").unwrap();
    assert_eq!(pair.ids.iter().filter(|&&id| id == 3).count(), 3, "</s></s> between them");

    let model = config.init(&features, 1, &Device::flex()).unwrap();
    let row = features.encode("a lovely dress").unwrap();
    let vectors = model.encode(&TextBatch::new(&[&row], &Device::flex()));
    assert_eq!(vectors.dims(), [1, 8]);
    // Fewer pieces than bytes cannot be.
    let few = TextTokenizer::train_bpe(&corpus, 10, 40).unwrap();
    assert_eq!(few.vocabulary(), 256 + 5);
}

#[test]
fn a_model_directory_is_replaced_as_a_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("model");
    let write = |content: &str, commit: bool| {
        let dir = ModelDir::create(&target).unwrap();
        dir.write("a.txt", content.as_bytes()).unwrap();
        if commit {
            dir.commit().unwrap();
        }
    };
    write("one", true);
    write("half", false);
    let read = || std::fs::read_to_string(target.join("a.txt")).unwrap();
    assert_eq!(read(), "one");
    write("two", true);
    assert_eq!(read(), "two");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1, "no temporary is left");
}
