//! The transformer against transformers' `BertModel` (`fixtures/generate.py`).

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use counterweight_encoder::{BertConfig, Encoder, Error, TextBatch};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    ids: Vec<Vec<i32>>,
    mask: Vec<Vec<f32>>,
    hidden: Vec<Vec<Vec<f32>>>,
    pooled: Vec<Vec<f32>>,
}

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bert")
}

#[test]
fn hidden_states_and_pooled_vectors_are_those_of_transformers() {
    let device = Device::flex();
    let config = BertConfig::read(dir().join("config.json")).unwrap();
    let bert = config.init(&device).unwrap().load(dir().join("model.safetensors")).unwrap();
    let text = std::fs::read_to_string(dir().join("expected.json")).unwrap();
    let e: Expected = serde_json::from_str(&text).unwrap();
    let shape = [e.ids.len(), e.ids[0].len()];
    let ids = Tensor::<2, Int>::from_data(TensorData::new(e.ids.concat(), shape), &device);
    let mask = Tensor::<2>::from_data(TensorData::new(e.mask.concat(), shape), &device);

    let hidden: Vec<f32> =
        bert.forward(ids.clone(), mask.clone()).into_data().try_to_vec().unwrap();
    let expected = e.hidden.concat().concat();
    let masked = e.mask.concat();
    let width = expected.len() / masked.len();
    for (i, (g, w)) in hidden.iter().zip(&expected).enumerate() {
        // What stands at padding is nobody's business.
        if masked[i / width] == 1.0 {
            assert!((g - w).abs() < 2e-5, "hidden {i}: {g} but transformers has {w}");
        }
    }
    let pooled = bert.encode(&TextBatch { ids, weights: mask });
    let pooled: Vec<f32> = pooled.into_data().try_to_vec().unwrap();
    for (g, w) in pooled.iter().zip(e.pooled.concat()) {
        assert!((g - w).abs() < 2e-5, "pooled: {g} but transformers has {w}");
    }
}

#[test]
fn a_checkpoint_of_another_shape_is_refused() {
    let device = Device::flex();
    let mut config = BertConfig::read(dir().join("config.json")).unwrap();
    config.num_hidden_layers = 3;
    let error = config.init(&device).unwrap().load(dir().join("model.safetensors")).unwrap_err();
    assert!(matches!(error, Error::Weights { missing: 16, unused: 0, .. }), "{error}");
    config.num_hidden_layers = 1;
    let error = config.init(&device).unwrap().load(dir().join("model.safetensors")).unwrap_err();
    assert!(matches!(error, Error::Weights { missing: 0, unused: 16, .. }), "{error}");
}

#[test]
fn bad_configurations_are_named() {
    let bad = |change: fn(&mut BertConfig)| {
        let mut config = BertConfig::default();
        change(&mut config);
        config.init(&Device::flex()).unwrap_err().to_string()
    };
    let heads = bad(|c| c.num_attention_heads = 5);
    assert_eq!(heads, "num_attention_heads = 5 is outside divisors of hidden_size");
    assert!(bad(|c| c.hidden_act = "relu".into()).contains("supported: \"gelu\""));
    assert_eq!(bad(|c| c.hidden_dropout_prob = 1.0), "hidden_dropout_prob = 1 is outside [0, 1)");
    assert!(BertConfig::read("no/config.json").unwrap_err().to_string().starts_with("no/config"));
}
