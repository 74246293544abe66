//! An interrupted training continues to the same result. Alone in its binary: dropout
//! layers draw from the device's generator, which other tests would disturb.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use counterweight::Error;
use counterweight::prelude::*;

#[test]
fn an_interrupted_run_resumes_to_the_uninterrupted_result() {
    let splits = common::intents();
    let device = Device::flex();
    // The last one has a loss that learns while training.
    let learning = Recipe { loss: LossKind::EqualizationV2.config(), ..common::small("ngram") };
    let root = tempfile::tempdir().unwrap();
    let mut adapted = common::pretrained(root.path(), &splits);
    if let EncoderConfig::Pretrained(config) = &mut adapted.encoder {
        config.lora = Some(LoraConfig::new().with_rank(2).with_dropout(0.1));
    }
    // Several batches to a step, and slower below.
    let mut layered = common::small("transformer");
    (layered.optimizer.accumulate, layered.optimizer.layer_decay) = (2, 0.8);
    layered.optimizer.clip = ClipNorm::Model;
    // Pairs first, then a head by L-BFGS.
    let few = Recipe::from_toml(
        r#"
        epochs = 3
        batch_size = 64
        encoder = { kind = "ngram", dim = 8, min_count = 1 }
        contrastive = { pairs = 2, epochs = 2, learning_rate = 1e-2 }
        optimizer = { kind = "lbfgs", weight_decay = 0.0 }
        "#,
    )
    .unwrap();
    let [ngram, transformer] = ["ngram", "transformer"].map(common::small);
    for recipe in [ngram, transformer, learning, adapted, layered, few] {
        let kind = recipe.loss.kind();
        let whole = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();
        for stop_at in [1, 3, 4] {
            let root = tempfile::tempdir().unwrap();
            let dir = root.path().join("checkpoint");
            let flag = Arc::new(AtomicBool::new(false));
            let stop = common::StopAt::new(stop_at, flag.clone());
            let options = TrainOptions::new().with_checkpoint(&dir);
            let cut = options.clone().with_progress(stop).with_stop_flag(flag);
            let interrupted = train(&recipe, &splits, &device, &cut).unwrap_err();
            assert!(matches!(interrupted, Error::Interrupted { .. }), "{interrupted}");
            let resumed = train(&recipe, &splits, &device, &options.with_resume(true)).unwrap();
            assert_eq!(resumed.history, whole.history, "{kind} cut at report {stop_at}");
            let p = |m: &Model| m.probabilities(splits.test.texts()).unwrap();
            assert_eq!(p(&resumed.model), p(&whole.model));
        }
    }

    // A checkpoint of another recipe is refused, not silently continued.
    let root = tempfile::tempdir().unwrap();
    let options = TrainOptions::new().with_checkpoint(root.path().join("c")).with_resume(true);
    let recipe = Recipe { epochs: 1, ..common::small("ngram") };
    train(&recipe, &splits, &device, &options).unwrap();
    let other = Recipe { epochs: 2, ..recipe };
    let refused = train(&other, &splits, &device, &options).unwrap_err();
    assert!(matches!(refused, Error::Checkpoint { what: "recipe", .. }), "{refused}");
}
