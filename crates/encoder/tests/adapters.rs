//! LoRA against PEFT, and what is trained (`fixtures/generate.py`).

mod common;

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::Device;
use common::{Expected, fixtures, gap, values};
use counterweight_encoder::{
    Checkpoint, Error, Freeze, LoraConfig, Target, TextBatch, WeightType, load_weights,
    save_checkpoint, trainable, weights_bytes,
};
use std::path::Path;

fn dir() -> std::path::PathBuf {
    fixtures().join("families/bert")
}

fn checkpoint() -> Checkpoint {
    Checkpoint::open(dir()).unwrap().with_config(|c| c.without_dropout()).unwrap()
}

fn expected() -> Expected {
    Expected::read(dir().join("expected.safetensors"))
}

#[test]
fn an_adapter_of_peft_gives_pefts_hidden_states_and_survives() {
    let device = Device::flex();
    let (checkpoint, e) = (checkpoint(), expected());
    let config = checkpoint.config();
    let adapted = checkpoint.load(&device).unwrap().load_adapter(config, dir().join("adapter"));
    let adapted = adapted.unwrap();
    assert!(adapted.has_lora());
    let batch = e.batch(false, &device);
    let (mask, peft) = (e.floats("mask"), e.floats("adapted"));
    let hidden = values(adapted.forward(&batch));
    assert!(gap(&hidden, &peft, &mask) < 2e-5);
    assert!(gap(&hidden, &e.floats("hidden"), &mask) > 0.1, "the adapter does something");

    let merged = adapted.clone().merge_lora();
    assert!(!merged.has_lora());
    assert!(gap(&values(merged.forward(&batch)), &peft, &mask) < 2e-5);

    // Written again, it is the same file but for the order.
    let root = tempfile::tempdir().unwrap();
    adapted.save_adapter(config, root.path()).unwrap();
    let ours = Expected::read(root.path().join("adapter_model.safetensors"));
    let theirs = Expected::read(dir().join("adapter/adapter_model.safetensors"));
    assert_eq!(ours.file().len(), theirs.file().len());
    for name in theirs.file().names() {
        assert_eq!(ours.floats(name), theirs.floats(name), "{name}");
    }
    let again = checkpoint.load(&device).unwrap().load_adapter(config, root.path()).unwrap();
    assert_eq!(values(again.forward(&batch)), hidden);
}

#[test]
fn adapters_of_gpt2s_one_layer_are_three_updates() {
    let device = Device::flex();
    let dir = fixtures().join("families/gpt2");
    let e = Expected::read(dir.join("adapter/expected.safetensors"));
    let checkpoint = Checkpoint::open(&dir).unwrap();
    let config = checkpoint.config();
    let (batch, mask) = (e.batch(false, &device), e.floats("mask"));
    let plain = || checkpoint.load(&device).unwrap();
    let adapted = plain().load_adapter(config, dir.join("adapter")).unwrap();
    let hidden = values(adapted.forward(&batch));
    assert!(gap(&hidden, &e.floats("adapted"), &mask) < 2e-5);
    assert!(gap(&hidden, &values(plain().forward(&batch)), &mask) > 0.1);

    // Their first matrices are one still: the same file.
    let root = tempfile::tempdir().unwrap();
    adapted.save_adapter(config, root.path()).unwrap();
    let ours = Expected::read(root.path().join("adapter_model.safetensors"));
    let theirs = Expected::read(dir.join("adapter/adapter_model.safetensors"));
    assert_eq!(ours.file().len(), theirs.file().len());
    for name in theirs.file().names() {
        assert_eq!(ours.floats(name), theirs.floats(name), "{name}");
    }

    // Updates of our own differ in theirs after a step, or are of some of the layers only.
    let tracked = Device::flex().autodiff();
    for targets in [vec![Target::Query, Target::Value, Target::Down], vec![Target::Key]] {
        let lora = LoraConfig::new().with_rank(2).with_alpha(3.0).with_targets(targets);
        let mut own = checkpoint.load(&tracked).unwrap().with_lora(&lora, 5).unwrap();
        let mut optimizer = AdamWConfig::new().init();
        for _ in 0..2 {
            let loss = own.forward(&e.batch(false, &tracked)).powi_scalar(2).sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &own);
            own = optimizer.step(0.1, own, gradients);
        }
        let own = own.valid();
        own.save_adapter(config, root.path()).unwrap();
        let again = plain().load_adapter(config, root.path()).unwrap();
        let (a, b) = (values(own.forward(&batch)), values(again.forward(&batch)));
        assert!(gap(&a, &b, &mask) < 2e-5, "{:?}", lora.targets);
        assert!(gap(&a, &values(plain().forward(&batch)), &mask) > 0.1);
    }
}

#[test]
fn prompts_and_prefixes_of_peft_give_pefts_hidden_states_and_survive() {
    let device = Device::flex();
    for (family, method) in [
        ("bert", "prompt"),
        ("roberta", "prompt"),
        ("bert", "prefix"),
        ("roberta", "prefix"),
        ("gpt2", "prefix"),
    ] {
        let dir = fixtures().join("families").join(family);
        let e = Expected::read(dir.join(method).join("expected.safetensors"));
        let checkpoint = Checkpoint::open(&dir).unwrap();
        let config = checkpoint.config();
        let (batch, mask) = (e.batch(false, &device), e.floats("mask"));
        let plain = || checkpoint.load(&device).unwrap();
        let adapted = plain().load_adapter(config, dir.join(method)).unwrap();
        let hidden = values(adapted.forward(&batch));
        assert!(gap(&hidden, &e.floats("hidden"), &mask) < 2e-5, "{method} of {family}");
        assert!(gap(&hidden, &values(plain().forward(&batch)), &mask) > 0.1);
        let map = adapted.attentions(&batch)[0].dims();
        if method == "prompt" {
            assert_eq!((adapted.prompt_tokens(), map), (3, [3, 4, 10, 10]));
        } else {
            assert_eq!((adapted.prefix_tokens(), map), (3, [3, 4, 7, 10]));
        }
        assert_eq!(adapted.attention_rollout(&batch).dims(), [3, 7]);

        let root = tempfile::tempdir().unwrap();
        adapted.save_adapter(config, root.path()).unwrap();
        let again = plain().load_adapter(config, root.path()).unwrap();
        assert_eq!(values(again.forward(&batch)), hidden);
        // Neither is in a plain checkpoint's layout, nor beside updates in PEFT's.
        let saved = save_checkpoint(&adapted, config, WeightType::F32, root.path().join("c"));
        assert!(saved.is_err());
        let both = adapted.with_lora(&LoraConfig::new(), 1).unwrap();
        assert!(both.save_adapter(config, root.path()).is_err());
        // Beside another width.
        let mut wide = config.clone();
        wide.hidden_size = 32;
        let error = wide.init(&device).unwrap().load_adapter(&wide, dir.join(method));
        assert!(error.unwrap_err().to_string().contains("prompt_embeddings"));
    }
    // Where there is no room.
    let plain = || checkpoint().load(&device).unwrap();
    for tokens in [0, 12] {
        assert!(plain().with_prompt(tokens, 1).is_err());
        assert!(plain().with_prefix(tokens, 1).is_err());
    }
    let both = plain().with_prompt(2, 1).unwrap().with_prefix(2, 1).unwrap();
    assert!(both.save_adapter(checkpoint().config(), tempfile::tempdir().unwrap().path()).is_err());
}

#[test]
fn a_prompt_or_a_prefix_alone_is_trained_and_learns() {
    let device = Device::flex().autodiff();
    let e = expected();
    let batch = e.batch(false, &device);
    let plain = || checkpoint().load(&device).unwrap();
    for (mut model, trained) in [
        (plain().with_prompt(2, 7).unwrap(), 2 * 16),
        (plain().with_prefix(2, 7).unwrap(), 2 * 16 * 2 * 2),
        (plain().with_prefix(5, 1).unwrap().with_prefix(2, 7).unwrap(), 2 * 16 * 2 * 2),
    ] {
        assert_eq!(trainable(&model).0, trained);
        let mut optimizer = AdamWConfig::new().init();
        let mut losses = Vec::new();
        for _ in 0..5 {
            let loss = model.pool(model.forward(&batch), &batch).powi_scalar(2).sum();
            losses.push(values(loss.clone())[0]);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(0.1, model, gradients);
        }
        assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
    }
}

#[test]
fn beside_a_prefix_padding_and_other_texts_change_nothing() {
    let device = Device::flex();
    for family in ["bert", "roberta", "distilbert", "mpnet", "gpt2"] {
        let dir = fixtures().join("families").join(family);
        let e = Expected::read(dir.join("attentions.safetensors"));
        let checkpoint = Checkpoint::open(&dir).unwrap();
        let model = checkpoint.load(&device).unwrap().with_prefix(3, 5).unwrap();
        let batch = e.batch(false, &device);
        let hidden = model.forward(&batch);
        // The first text has five tokens.
        let alone = TextBatch {
            ids: batch.ids.clone().narrow(0, 0, 1).narrow(1, 0, 5),
            weights: batch.weights.clone().narrow(0, 0, 1).narrow(1, 0, 5),
            types: None,
        };
        let padded = values(hidden.clone().narrow(0, 0, 1).narrow(1, 0, 5));
        assert!(gap(&values(model.forward(&alone)), &padded, &[1.0; 5]) < 1e-5, "{family}");
        // The maps are what the layers mix by, and the prefix has its share.
        for map in model.attentions(&alone) {
            let sums = values(map.clone().sum_dim(3));
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{family}: {sums:?}");
            assert!(values(map.narrow(3, 0, 3)).iter().all(|share| *share > 0.0));
        }
        // A text without tokens takes from the prefix alone.
        let empty = TextBatch { weights: alone.weights.clone() * 0.0, ..alone };
        assert!(values(model.forward(&empty)).iter().all(|v| v.is_finite()), "{family}");
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let device = Device::flex();
    let checkpoint = checkpoint();
    let config = checkpoint.config();
    let plain = || checkpoint.load(&device).unwrap();
    // The weights of an adapted model in a plain one.
    let adapted = plain().with_lora(&LoraConfig::new(), 1).unwrap();
    let bytes = weights_bytes(&adapted).unwrap();
    let error = load_weights(plain(), bytes, Path::new("m")).unwrap_err();
    assert!(matches!(error, Error::Weights { missing: 0, unused: 8, .. }), "{error}");
    // And an adapter's directory as a checkpoint.
    assert!(Checkpoint::open(dir().join("adapter")).is_err());
    // An adapter of a deeper model.
    let shallow = Checkpoint::open(dir()).unwrap();
    let mut one = shallow.config().clone();
    one.num_hidden_layers = 1;
    let error = one.init(&device).unwrap().load_adapter(&one, dir().join("adapter")).unwrap_err();
    assert!(matches!(error, Error::Weights { unused: 8, .. }), "{error}");
    // Of a wider one.
    one.hidden_size = 32;
    let error = one.init(&device).unwrap().load_adapter(&one, dir().join("adapter")).unwrap_err();
    assert!(error.to_string().contains("lora_A"), "{error}");
    // Another kind of adapter.
    let root = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(dir().join("adapter/adapter_config.json")).unwrap();
    for (from, to) in [
        ("\"LORA\"", "\"IA3\""),
        ("\"use_dora\": false", "\"use_dora\": true"),
        ("\"rank_pattern\": {}", "\"rank_pattern\": {\"query\": 4}"),
    ] {
        assert!(text.contains(from));
        std::fs::write(root.path().join("adapter_config.json"), text.replace(from, to)).unwrap();
        let error = plain().load_adapter(config, root.path()).unwrap_err();
        assert!(error.to_string().contains("adapter_config.json"), "{error}");
    }
    assert!(plain().save_adapter(config, root.path()).is_err(), "nothing to save");
    for bad in [
        LoraConfig::new().with_rank(0),
        LoraConfig::new().with_alpha(f64::NAN),
        LoraConfig::new().with_dropout(1.0),
        LoraConfig::new().with_targets([]),
    ] {
        assert!(matches!(plain().with_lora(&bad, 0), Err(Error::OutOfRange(_))), "{bad:?}");
    }
}

#[test]
fn only_what_is_not_frozen_is_trained() {
    let device = Device::flex().autodiff();
    let e = expected();
    let width = 16;
    let lora = LoraConfig::new().with_rank(2).with_targets([Target::Query, Target::Down]);
    let all = trainable(&checkpoint().load(&device).unwrap()).1;
    let embeddings = 50 * width + 14 * width + 2 * width + 2 * width;
    let block = 4 * (width * width + width) + 4 * width + 2 * 24 * width + 24 + width;
    let biases = width + 2 * (4 * width + 2 * width + 24 + width) + width;
    let low = 2 * (2 * (width + width) + 2 * (24 + width));
    let cases = [
        (Freeze::None, None, all),
        (Freeze::All, None, 0),
        (Freeze::Embeddings, None, all - embeddings),
        (Freeze::Blocks(1), None, all - embeddings - block),
        (Freeze::AllButBiases, None, biases),
        (Freeze::None, Some(&lora), low),
    ];
    for (freeze, lora, trained) in cases {
        let mut model = checkpoint().load(&device).unwrap().frozen(freeze);
        if let Some(lora) = lora {
            model = model.with_lora(lora, 3).unwrap();
            assert_eq!(trainable(&model), (trained, all + low));
            // It begins as the plain model was.
            let hidden = values(model.clone().forward(&e.batch(false, &device)));
            assert!(gap(&hidden, &e.floats("hidden"), &e.floats("mask")) < 2e-5);
        } else {
            assert_eq!(trainable(&model), (trained, all), "{freeze:?}");
        }
        let before = weights_bytes(&model).unwrap();
        let mut optimizer = AdamWConfig::new().init();
        if trained > 0 {
            let batch = e.batch(false, &device);
            for _ in 0..2 {
                let hidden = model.forward(&batch);
                let loss = model.pool(hidden, &batch).powi_scalar(2).sum();
                let gradients = GradientsParams::from_grads(loss.backward(), &model);
                model = optimizer.step(0.1, model, gradients);
            }
        }
        assert_eq!(trainable(&model).0, trained, "steps leave {freeze:?} as it was");
        let after = weights_bytes(&model).unwrap();
        let changed = changed_numbers(&before, &after);
        // Word, position and type vectors that do not occur keep their places.
        assert!(changed <= trained, "{freeze:?}: {changed} of {trained}");
        assert!(changed * 10 >= trained * 4, "{freeze:?}: {changed} of {trained}");
        let _ = model.valid();
    }
}

/// How many f32 numbers differ between two files of one model.
fn changed_numbers(before: &[u8], after: &[u8]) -> usize {
    let (a, b) = (
        safetensors::SafeTensors::deserialize(before).unwrap(),
        safetensors::SafeTensors::deserialize(after).unwrap(),
    );
    let count = |name: &str| {
        let (x, y) = (a.tensor(name).unwrap(), b.tensor(name).unwrap());
        let (x, y) = (x.data().as_chunks::<4>().0, y.data().as_chunks::<4>().0);
        x.iter().zip(y).filter(|(x, y)| x != y).count()
    };
    a.names().iter().map(|name| count(name)).sum()
}
